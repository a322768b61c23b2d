halfopen query --data $DATA "select service, count(*) as spans, max(duration_ns) as longest_ns from spans group by service order by service"
