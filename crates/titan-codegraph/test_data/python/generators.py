#- main.py
def f1():
    pass

def f2():
    pass

class Counter:
    def __init__(self, stop):
        self.stop = stop

    def __iter__(self):
        self.at = 0
        return self

    def __next__(self):
        self.tell()
        return f1

    def tell(self):
        pass

def over():
    for f in Counter(3):
        f()

def made():
    yield f2
    yield from [f1]

def use():
    for f in made():
        f()
    next(iter(Counter(1)))()

class Listed:
    def __getitem__(self, at):
        return f2

def older():
    for f in Listed():
        f()
