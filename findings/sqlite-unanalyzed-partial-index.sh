#!/usr/bin/env bash
# SQLite 3.51.1 (PyPI pysqlite3-binary 0.5.4.post2; 3.40.1 of Debian 12 decides alike): a queue whose rows wait per key.
#
# "Is there an older waiting row of the same key?" can be answered by an index on (team, key): two equalities, at most one row.
# Beside it lies a partial index on (state, batch, id) WHERE state = 'waiting', made to find the next row of the queue.
# Without statistics the planner takes the partial one for the inner query: one equality (which holds for every row in it) and a
# range that begins at the first row of the queue. The query is right and quadratic: 8 times the rows, about 60 times the work.
#
# Seen as well: the same index without WHERE, on a table without rowid, is not taken; without `state` in front it is not taken
# either; ANALYZE and INDEXED BY each choose the good plan. An empty or small table shows nothing but the plan, so read the plan.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysqlite3-binary==0.5.4.post2
"$folder/venv/bin/python" - <<'PYTHON'
import time
import pysqlite3

VERSION, rows = pysqlite3.sqlite_version, 500
print("sqlite", VERSION)


def look(rows, index="state, batch, id", partial=True, analyze=False, hint=""):
    database = pysqlite3.connect(":memory:")
    database.execute("CREATE TABLE tasks (batch INTEGER, id INTEGER, team INTEGER, key TEXT, state TEXT, PRIMARY KEY (batch, id)) WITHOUT ROWID")
    database.execute("CREATE INDEX by_key ON tasks (team, key)")
    database.execute(f"CREATE INDEX queue ON tasks ({index})" + (" WHERE state = 'waiting'" if partial else ""))
    database.executemany("INSERT INTO tasks VALUES (1, ?, 1, ?, 'waiting')", [(row, f"key {row}") for row in range(rows)])
    if analyze:
        database.execute("ANALYZE")
    query = f"""SELECT count(*) FROM tasks t WHERE t.state = 'waiting' AND NOT EXISTS (
        SELECT 1 FROM tasks o {hint} WHERE o.team = t.team AND o.key = t.key AND o.state = 'waiting' AND (o.batch, o.id) < (t.batch, t.id))"""
    plan = database.execute("EXPLAIN QUERY PLAN " + query).fetchall()[-1][3]
    steps = 0

    def count():
        nonlocal steps
        steps += 1

    database.set_progress_handler(count, 100)  # Called after each 100 instructions of the virtual machine: work without a clock.
    found = database.execute(query).fetchone()[0]
    assert found == rows, found
    return plan, steps


small, large = look(rows), look(8 * rows)
print("plan            ", small[0])
print("steps of 100    ", small[1], "for", rows, "rows,", large[1], "for", 8 * rows)
hinted = look(8 * rows, hint="INDEXED BY by_key")
print("INDEXED BY      ", hinted[0], "-", hinted[1], "steps")
analyzed = look(8 * rows, analyze=True)
print("after ANALYZE   ", analyzed[0])
whole = look(8 * rows, partial=False)
print("not partial     ", whole[0])
short = look(8 * rows, index="batch, id")
print("without `state` ", short[0])
assert "USING INDEX queue (state=? AND batch<?)" in small[0] and "USING INDEX queue" in large[0]
assert large[1] > 40 * small[1], "no longer quadratic"
assert hinted[1] * 100 < large[1]
for plan in (hinted[0], analyzed[0], whole[0], short[0]):
    assert "USING INDEX by_key (team=? AND key=?" in plan, plan
print("as described")
PYTHON
