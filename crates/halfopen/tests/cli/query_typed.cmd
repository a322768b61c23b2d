halfopen query --json --data $DATA "select trace_id, span_id, start_time, duration_ns, service, attributes from spans where service = 'payment' order by start_time, duration_ns desc limit 1"
