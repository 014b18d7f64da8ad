#- main.py
from tools import logged, named

def plain(f):
    return f

def other(f):
    def inner():
        f()
    return inner

@plain
def one():
    pass

@other
def two():
    one()

@logged
@named("x")
def three():
    two()

one()
two()
three()
#- tools.py
import functools

def logged(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        return f(*args, **kwargs)
    return inner

def named(name):
    def decorate(f):
        f.name = name
        return f
    return decorate
