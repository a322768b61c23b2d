"""Counts each value of attributes on both sides over Parquet files, timed: seconds of each round.

usage: difference.py duckdb|chdb spans|requests ROUNDS THREADS ATTRIBUTES FILE...

ATTRIBUTES are names of columns with commas between them. "spans" counts failed spans and others,
"requests" counts traces whose first span failed and others, once for each value that any of their
spans has.
"""
import sys
import time

peer, level, rounds, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
attributes, files = sys.argv[5].split(","), sys.argv[6:]

if peer == "duckdb":
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads = {threads}")
    # It would stand among the seconds.
    connection.execute("set enable_progress_bar = false")
    source = "read_parquet([" + ", ".join(f"'{file}'" for file in files) + "])"
    distinct = "count(distinct trace_id)"
    ask = lambda sql: connection.execute(sql).fetchall()
else:
    import chdb

    # The folder's files; a list in braces is one pattern.
    names = [file.rsplit("/", 1) for file in files]
    source = "file('" + names[0][0] + "/{" + ",".join(name for _, name in names) + "}', Parquet)"
    distinct = "uniqExact(trace_id)"
    ask = lambda sql: str(chdb.query(sql + f" settings max_threads = {threads}", "CSV"))

quoted = [f'"{attribute}"' for attribute in attributes]
if level == "spans":
    chosen = "sum(case when status = 'error' then 1 else 0 end)"
    one = lambda name: f"select '{name}' as a, \"{name}\" as v, {chosen} as f, count(*) as n " \
        f"from {source} group by \"{name}\""
    sets = ", ".join(f"({name})" for name in quoted)
    # Two ways to ask: one scan for each attribute, or one for all. The faster one counts.
    ways = [
        " union all ".join(one(name) for name in attributes),
        f"select {', '.join(quoted)}, {chosen}, count(*) from {source} group by grouping sets ({sets})",
    ]
else:
    failing = f"select trace_id from {source} where kind = 'server' and status = 'error'"
    one = lambda name: f"select '{name}' as a, \"{name}\" as v, " \
        f"{distinct} as n from {source} group by \"{name}\""
    few = lambda name: f"select '{name}' as a, \"{name}\" as v, " \
        f"{distinct} as n from {source} where trace_id in ({failing}) group by \"{name}\""
    ways = [[ask_one(name) for name in attributes for ask_one in (one, few)]]

best = None
for way in ways:
    try:
        statements = way if isinstance(way, list) else [way]
        seconds = []
        for _ in range(rounds):
            begin = time.perf_counter()
            for statement in statements:
                ask(statement)
            seconds.append(time.perf_counter() - begin)
        seconds.sort()
        if best is None or seconds[len(seconds) // 2] < best[len(best) // 2]:
            best = seconds
    except Exception as error:
        print(f"{peer}: {str(error)[:300]}", file=sys.stderr)
if best is None:
    sys.exit(1)
for second in best:
    print(second, flush=True)
