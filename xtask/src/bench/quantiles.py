"""Latency quantiles by service over the Parquet files of a folder, timed: seconds of each round.

usage: quantiles.py duckdb|chdb|exact FOLDER ROUNDS THREADS

`exact` is DuckDB again, with exact quantiles; they are its last line.
"""
import sys
import time

peer, folder, rounds, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
files = folder + "/*.parquet"

answer = []

if peer in ("duckdb", "exact"):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads = {threads}")
    function = "quantile_disc" if peer == "exact" else "approx_quantile"
    sql = (
        f"select service, count(*), {function}(duration_ns, [0.5, 0.95, 0.99]) "
        f"from read_parquet('{files}', union_by_name = true) group by service order by service"
    )
    ask = lambda: connection.execute(sql).fetchall()
else:
    import chdb

    sql = (
        "select service, count(), quantilesTDigest(0.5, 0.95, 0.99)(duration_ns) "
        f"from file('{files}', Parquet) group by service order by service "
        f"settings max_threads = {threads}"
    )
    ask = lambda: str(chdb.query(sql, "CSV"))

for _ in range(rounds):
    begin = time.perf_counter()
    answer = ask()
    print(time.perf_counter() - begin, flush=True)

if peer == "exact":
    print(*(value for row in answer for value in row[2]))
