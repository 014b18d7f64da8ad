"""Writes NAME.json for each tool here: its spec, an input, and the output that it has to give.

The outputs are this program's or were written down by hand; none is a tool's own. Run it by hand after a change: python3 expected.py
"""

import collections, csv, datetime, io, json, pathlib, re, statistics, textwrap, unicodedata

TEXT = """The quick brown fox jumps over the lazy dog. It's a well-known sentence, and the dog knows it!
Does the fox know it? The fox knows the dog; the DOG knows the fox."""


def word_count():
    words = re.findall(r"[\w]+(?:['’-][\w]+)*", TEXT)
    stop = {"the", "a", "an", "and", "of", "to", "in", "is", "it", "that"}
    counts = collections.Counter(w.lower() for w in words if w.lower() not in stop)
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
    sentences = len(re.findall(r"[.?!](?=\s|$)", TEXT))
    return ({"text": TEXT, "top": 4},
            f"{len(words)} words, {sentences} sentences\n" + "".join(f"{n} {word}\n" for word, n in top))


def unique_slugs():
    # By hand: letters lose their accents, marks that stand between words become one hyphen.
    titles = ["Hello, World!", "Crème brûlée: 3 recipes", "hello world", "It's  new -- again", "…", "Hello World", "?"]
    slugs = ["hello-world", "creme-brulee-3-recipes", "hello-world-2", "its-new-again", "untitled", "hello-world-3", "untitled-2"]
    return {"titles": titles}, {"slugs": slugs}


def quote_reply():
    mail = ("Dear all,\n\nthe meeting on Monday has been moved to Tuesday at ten, since the large room is not free before.\n"
            "Please bring your figures.\n\n\nThanks\n-- \nAda Lovelace\nAnalytical Engines Ltd\n")
    body = mail.split("\n-- \n")[0]
    paragraphs = [textwrap.fill(" ".join(p.split()), 38) for p in re.split(r"\n\s*\n\s*", body.strip())]
    lines = "\n\n".join(paragraphs).split("\n")
    return {"mail": mail, "width": 40}, "\n".join("> " + line if line else ">" for line in lines)


def find_addresses():
    text = "Write to Ada.Lovelace@Example.org, bob+lists@mail.example.com; <ADA.lovelace@example.org> or x@y (no address), c_d@example.org."
    found = sorted({a.lower() for a in re.findall(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+", text)})
    return {"text": text}, {"addresses": found, "domains": dict(collections.Counter(a.split("@")[1] for a in found))}


def json_diff():
    before = {"name": "x", "size": {"w": 1, "h": 2.5}, "tags": ["a", "b", "c"], "gone": None, "same": [1, {"k": True}]}
    after = {"name": "y", "size": {"w": 1, "h": 3, "d": "4"}, "tags": ["a", "c"], "same": [1, {"k": True}], "is": {"new": []}}
    # By hand.
    lines = ['- $.gone null', '+ $.is {"new":[]}', '~ $.name "x" -> "y"', '+ $.size.d "4"', '~ $.size.h 2.5 -> 3',
             '~ $.tags[1] "b" -> "c"', '- $.tags[2] "c"']
    return {"before": before, "after": after}, "\n".join(lines)


def order_totals():
    orders = [
        {"id": 1, "status": "paid", "customer": {"name": "Ada"}, "items": [{"qty": 3, "price": 1.1}, {"price": 20}], "tags": ["new"]},
        {"id": 2, "status": "cancelled", "customer": {"name": "Bob"}, "items": [{"qty": 9, "price": 999}]},
        {"id": 3, "status": "open", "customer": {"name": "Bob"}, "items": [{"qty": 2, "price": 12.345}], "tags": []},
        {"id": 4, "status": "paid", "customer": {"name": "Ada"}, "items": [], "tags": ["new", "vip"]},
        {"id": 5, "status": "open", "customer": {}, "items": [{"qty": 0.5, "price": 99.5}]},
    ]
    totals = {}
    for order in orders:
        if order["status"] == "cancelled":
            continue
        total = totals.setdefault(order["customer"].get("name", "unknown"), {"orders": 0, "sum": 0.0, "tags": []})
        total["orders"] += 1
        total["sum"] += sum(i.get("qty", 1) * i["price"] for i in order["items"])
        total["tags"] += [t for t in order.get("tags", []) if t not in total["tags"]]
    rows = [{"customer": name, **t, "sum": round(t["sum"], 2)} for name, t in sorted(totals.items(), key=lambda pair: -pair[1]["sum"])]
    return {"orders": orders}, rows


def flatten_json():
    value = {"b": {"x": [1, {"y": None}], "e": {}}, "a": "text \"q\"", "c": [[True], []], "n": -0.5}

    def flat(prefix, v):
        items = v.items() if isinstance(v, dict) else enumerate(v) if isinstance(v, list) else []
        inner = [pair for k, w in items for pair in flat(f"{prefix}.{k}" if prefix else str(k), w)]
        return inner or [(prefix, json.dumps(v, ensure_ascii=False, separators=(",", ":")))]
    return {"value": value}, "\n".join(f"{path} = {v}" for path, v in sorted(flat("", value)))


def json_table():
    rows = [{"id": 1, "name": "Ada | Co", "ok": True}, {"id": 2, "note": "two\nlines", "name": None}]
    # By hand: keys of each object in order of the alphabet.
    table = "| id | name | ok | note |\n|---|---|---|---|\n| 1 | Ada \\| Co | true |  |\n| 2 |  |  | two lines |\n"
    return {"rows": rows}, table


CITIES = 'City,Amount,Note\nRome,"1,200.50","a, b"\nOslo,300,\nRome,99.5,x\nOslo,-50,"say ""hi"""\nBern,0,\n'


def written(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def csv_groups():
    groups = {}
    for row in csv.DictReader(io.StringIO(CITIES)):
        groups.setdefault(row["City"], []).append(float(row["Amount"].replace(",", "")))
    rows = [["City", "n", "sum", "mean"]]
    rows += [[c, len(v), f"{sum(v):.2f}", f"{statistics.mean(v):.2f}"] for c, v in sorted(groups.items())]
    return {"csv": CITIES, "by": "city", "of": "amount"}, written(rows)


def csv_join():
    left = "id,name\n1,Ada\n2,Bob\n3,Cleo\n"
    right = "city;id\nRome;1\n\"Oslo, N\";1\nBern;3\nParis;9\n"
    partners = list(csv.reader(io.StringIO(right), delimiter=";"))[1:]
    rows = [["id", "name", "city"]]
    for one in list(csv.reader(io.StringIO(left)))[1:]:
        cities = [city for city, key in partners if key == one[0]] or [""]
        rows += [one + [city] for city in cities]
    return {"left": left, "right": right, "key": "id"}, written(rows)


def csv_clean():
    text = ("\ufeffBuchungstag;Empfänger;Betrag\r\n05.03.2026;\"Café  Müller; Bonn\";-12,50\r\n01.02.2026;Lohn;2.345,67\r\n"
            "05.03.2026;Café Müller; Bonn;-12,50\r\n\r\n05.03.2026;\"Café Müller; Bonn\";-12,5\r\n28.02.2026;Miete;-1.000,00 €\r\n")
    text = text.replace("05.03.2026;Café Müller; Bonn;-12,50\r\n", "")
    seen, rows = set(), []
    for row in csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=";"):
        date = datetime.datetime.strptime(row["Buchungstag"], "%d.%m.%Y").date()
        amount = float(row["Betrag"].replace("€", "").replace(".", "").replace(",", "."))
        one = (date, " ".join(row["Empfänger"].split()), f"{amount:.2f}")
        if one not in seen:
            seen.add(one)
            rows.append(one)
    rows.sort(key=lambda one: one[0])
    balance = sum(float(amount) for *_, amount in rows)
    return {"csv": text}, written([["date", "payee", "amount"]] + [list(map(str, r)) for r in rows]) + f"balance {balance:.2f}\n"


# What the pages below mean was read off them by hand.
def html_prices():
    page = ("<html><body><h1>Prices<table class='a prices' border=1><tr><th>Item<th>Price<th>Stock\n<tr><td>Tea<td>3.50 EUR<td>12"
            "<tr><td>Coffee, <i>ground<td><b>12,90 €</b><td>\n<tr><td colspan=3>Sweets\n<tr><td>Honey &amp; jam<TD>$1,004.00</table><p>end")
    return {"page": page}, [{"name": "Tea", "price": 3.5}, {"name": "Coffee, ground", "price": 12.9}, {"name": "Honey & jam", "price": 1004.0}]


def html_layout():
    page = ("<table width=100%><tr><td><font size=2>Menu<td><table><tr><td><b>Timetable</b><tr><td>"
            "<table cellpadding=2><tr bgcolor=silver><td>Train<td>From<td>At<tr><td rowspan=2>ICE 5<td>Bern<td>10:02"
            "<tr><td>Basel<td>11:04<tr><td>RE 7<td>Chur, GR<td>9:58</table></table></table><center>Best viewed at 800x600")
    return {"page": page, "heading": "Train"}, "Train,From,At\nICE 5,Bern,10:02\nICE 5,Basel,11:04\nRE 7,\"Chur, GR\",9:58\n"


def html_entities():
    page = ("<!doctype html><ul id=products><li><b>Caf&eacute;&nbsp;cr&egrave;me</b> <span data-price='4.20'>&euro;4.20</span> small &amp; large"
            "<li><strong>R&#233;sum&#xE9; paper</strong><i data-price=\"9&frac12;\"></i> 80&thinsp;g/m&sup2; &lt;A4&gt;"
            "<li data-price=1><b>AT&T adapter</b><em data-price=19>19</em> &copy;2026 &bogus; &notin;</ul><ul><li><b>no</b></ul>")
    lines = ["Café crème | 4.20 | small & large", "Résumé paper | 9½ | 80 g/m² <A4>", "AT&T adapter | 19 | ©2026 &bogus; ∉"]
    return {"page": page}, "\n".join(lines)


def html_article():
    page = ("<html><head><title>x</title><style>p { color: red }</style><script>var p = '<p>not this</p>';</script></head><body>"
            "<nav><p>Home</p></nav><article><h1>Rain <em>again</em></h1><p>It rained<script>document.write('<p>ad</p>')</script> all day"
            "<p class='big ad'>Buy boots!<p>Rivers <a href='http://r.example/x'>rose</a>.<style>.y{}</style><aside><p>See also</aside>"
            "<p><br><script>1</script></p><noscript><p>Enable scripts</p></noscript><p>More <a href=/local>here</a> and <a href='https://s.example'>there</a>"
            "<!-- <p>comment</p> --></article><p>Footer</body>")
    return {"page": page}, "# Rain again\n\nIt rained all day\n\nRivers rose.\n\nMore here and there\n\n2 links"


def html_cards():
    page = ("<div class='grid wide'><div class='row head'><div>Name<span> of it</span></div><div>Size (GB)</div><div>Price</div></div>"
            "<div class=row><div class=c1><a href='/p/1'>Disk A</a></div><div class=c2>1,000</div><div>$49.99</div></div>"
            "<div class='row odd'><div>Disk<br>B</div><div>n/a</div><div><span>1.299,00</span> EUR</div></div>"
            "<div class=row><div>Disk C</div><div>4</div></div></div>")
    rows = [{"name-of-it": {"text": "Disk A", "link": "/p/1"}, "size-gb": 1000.0, "price": 49.99},
            {"name-of-it": "Disk B", "size-gb": "n/a", "price": 1299.0}, {"name-of-it": "Disk C", "size-gb": 4.0}]
    return {"page": page}, rows


def log_summary():
    lines = []
    for i in range(120):
        hour, level = 7 + i * i % 5, ["INFO", "info", "WARN", "ERROR", "[debug]:"][i % 5]
        message = {"ERROR": f"timeout after {i} ms at shard {i % 3}" if i % 2 else f"disk {i % 7} is full"}.get(level, f"request {i} ok")
        lines.append(f"2026-11-{1 + i % 28:02}{'T ' [i % 2]}{hour:02}:{i % 60:02}:00.{i:03}Z {level} {message}")
    lines[50:50] = ["", "    at main.rs:5", "panic: no timestamp"]
    levels, hours, errors, other = collections.Counter(), collections.Counter(), collections.Counter(), 0
    for line in lines:
        if not line:
            continue
        m = re.match(r"\S{10}[T ](\d\d)\S+ (\S+) (.*)", line)
        if not m:
            other += 1
            continue
        level = m[2].strip("[]:").upper()
        levels[level] += 1
        hours[m[1]] += 1
        if level == "ERROR":
            errors[re.sub(r"\d+", "#", m[3])] += 1
    # Of hours that are equally busy the last one.
    hour = max(sorted(hours), key=lambda h: (hours[h], h))
    out = "".join(f"{level:<5} {n}\n" for level, n in sorted(levels.items())) + f"busiest {hour}:00 with {hours[hour]}\n"
    out += "".join(f"{n}x {e}\n" for e, n in sorted(errors.items(), key=lambda pair: (-pair[1], pair[0]))[:3])
    return {"log": "\n".join(lines)}, out + f"{other} other lines"


def access_log():
    lines, paths = [], ["/", "/search?q=a", "/img/a.png", "/search?q=b", "/login"]
    for i in range(60):
        size = "-" if i % 11 == 0 else str(i * 37 % 900)
        stamp = f"{3 + i // 25:02}/Mar/2026:{i % 24:02}:00:{i % 60:02} +0100"
        lines.append(f'10.0.0.{i % 7} - - [{stamp}] "GET {paths[i % 5]} HTTP/1.1" {[200, 200, 304, 404, 500][i * i % 5]} {size} "-" "x"')
    lines[10] = "garbage"
    status, size_of, days, bad = collections.Counter(), collections.Counter(), {}, 0
    for line in lines:
        m = re.match(r'(\S+) - - \[(.*?)\] "GET (\S+) .*?" (\d)\d\d (\S+)', line)
        if not m:
            bad += 1
            continue
        status[m[4] + "xx"] += 1
        size_of[m[3].split("?")[0]] += int(m[5]) if m[5] != "-" else 0
        moment = datetime.datetime.strptime(m[2], "%d/%b/%Y:%H:%M:%S %z")
        days.setdefault(str(moment.date()), set()).add(m[1])
    top = sorted(size_of.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    return {"log": "\n".join(lines)}, {"status": status, "top": top, "visitors": {d: len(w) for d, w in days.items()}, "unreadable": bad}


def working_days():
    first, last = datetime.date(2026, 12, 18), datetime.date(2027, 2, 2)
    holidays = ["2026-12-25", "26.12.2026", "1 Jan 2027", "2027-01-06"]
    free = {datetime.date(2026, 12, 25), datetime.date(2026, 12, 26), datetime.date(2027, 1, 1), datetime.date(2027, 1, 6)}
    days = [first + datetime.timedelta(n) for n in range((last - first).days + 1)]
    work = [d for d in days if d.weekday() < 5 and d not in free]
    months = collections.Counter(d.strftime("%Y-%m") for d in work)
    out = f"{len(work)} of {len(days)} days, from {first:%A} to {last:%A}" + "".join(f"\n{m} {n}" for m, n in sorted(months.items()))
    return {"from": "Fri, 18 Dec 2026", "to": "2027-02-02", "holidays": holidays}, out


def invoices_due():
    today = datetime.date(2026, 3, 1)
    invoices = [("A-1", "15 Jan 2026", 30, datetime.date(2026, 1, 15)), ("A-2", "1.2.2026", "end of month", datetime.date(2026, 2, 1)),
                ("A-3", "2025-12-02", 14, datetime.date(2025, 12, 2)), ("A-4", "February 20, 2026", 30, datetime.date(2026, 2, 20)),
                ("A-10", "31/Oct/2024:10:00:00 +0000", "end of month", datetime.date(2024, 10, 31))]
    rows = [["invoice", "due", "days", "week"]]
    for number, _, terms, date in invoices:
        end = (date.replace(day=28) + datetime.timedelta(4)).replace(day=1) - datetime.timedelta(1)
        due = end if terms == "end of month" else date + datetime.timedelta(terms)
        if due < today:
            year, week, _ = due.isocalendar()
            rows.append([number, due.strftime("%d %b %Y"), str((today - due).days), f"{year}-W{week:02}"])
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    lines = [[c.rjust(w) if re.fullmatch(r"-?\d+", c) else c.ljust(w) for c, w in zip(r, widths)] for r in rows]
    out = "".join("  ".join(line).rstrip() + "\n" for line in lines)
    return {"today": "2026-03-01", "invoices": [{"number": n, "date": d, "terms": t} for n, d, t, _ in invoices]}, out


def schema(value):
    """What `value` is, as a JSON schema of arguments."""
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    fields = {key: {"type": kinds[type(one)]} for key, one in value.items()}
    return {"type": "object", "properties": fields, "required": sorted(fields), "additionalProperties": False}


def main():
    here = pathlib.Path(__file__).parent
    for path in sorted(here.glob("*.rs")):
        name = path.stem
        given, output = globals()[name]()
        source = path.read_text()
        comment = re.match(r"///? (.*)", source)
        about = comment[1] if comment else f"Does what {name.replace('_', ' ')} says."
        sorted_json = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        spec = {"name": name, "description": about, "input_schema": schema(given), "input": given,
                "output": output if isinstance(output, str) else sorted_json(output)}
        path.with_suffix(".json").write_text(json.dumps(spec, ensure_ascii=False, indent=2) + "\n")


main()
