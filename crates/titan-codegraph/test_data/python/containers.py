#- main.py
from keys import KEY

def f1():
    pass

def f2():
    pass

def f3():
    pass

def f4():
    pass

def f5():
    pass

def f6():
    pass

d = {"a": f1, 1: f2}
d["a"]()
d["b"] = f3
d[KEY]()

def put(table):
    table["c"] = f4

put(d)
d["c"]()

class Reader:
    def by_key(self, table, key):
        table[key]()

Reader().by_key({"z": f5, "y": f6}, "z")

def sliced():
    fs = [f1, f2, f3, f4]
    part = fs[1:3]
    part[0]()
    fs[-1]()

def nested():
    table = {"x": {"y": f5}}
    table["x"]["y"]()

def comprehended():
    [g() for g in [f1, f2]]
    fs = {n: g for n, g in {"q": f6}.items()}
    fs["q"]()

def many():
    fs = []
    fs.append(f3)
    for g in fs:
        g()
#- keys.py
KEY = "b"
