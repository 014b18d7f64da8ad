#- main.py
from base import Base, Other
import base

class A(Base):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def run(self):
        self.f()
        self.hook()
        self.shared()

    def hook(self):
        return super(A, self).hook()

    @property
    def child(self):
        return Other()

    @classmethod
    def make(cls):
        return cls(helper)

    @staticmethod
    def still():
        helper()

    def __call__(self):
        self.run()

def helper():
    pass

a = A.make()
a.run()
a.child.other()
A.still()
a()
base.Base.shared(a)

def typed(other: Other):
    other.other()

class Left(base.Base):
    def hook(self):
        pass

class Right(base.Base):
    def shared(self):
        pass

class Both(Left, Right):
    pass

b = Both()
b.hook()
b.shared()
#- base.py
class Base:
    def __init__(self):
        self.start()

    def start(self):
        pass

    def hook(self):
        pass

    def shared(self):
        pass

class Other:
    def other(self):
        pass
