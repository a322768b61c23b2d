halfopen query --json --data $DATA "select id, name, trace_id, time, service from ids where id = 'req_0130' order by time"
