#- main.py
import ext
from ext.deep import thing as renamed
from pkg import *
from pkg.sub import late

def f1():
    pass

def f2():
    pass

def default(f=f1):
    f()

def keyword(a, b):
    b()

def rest(*fs, **named):
    fs[1]()
    named["key"]()

def outer():
    held = f1
    def inner():
        nonlocal held
        held = f2
        held()
    inner()

default()
keyword(1, b=f2)
rest(f1, f2, key=f1)
outer()
(lambda g: g())(f2)
h = lambda: f1
h()()
sorted([1], key=lambda n: f2())
ext.call(f1)
renamed().more()
starred()
late()
x = f1 if ext else f2
x()
table = dict(a=f1)
getattr(ext, "name")()

def shared():
    global late_bound
    late_bound = f2

shared()
late_bound()

class Outside(ext.Base):
    def go(self):
        self.from_outside()

Outside().go()
#- pkg/__init__.py
from .sub import late
from . import sub

def starred():
    sub.late()
#- pkg/sub.py
def late():
    pass
