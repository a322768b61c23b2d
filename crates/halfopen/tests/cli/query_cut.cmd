halfopen query --data $DATA "select repeat('0123456789', 10) as long, 1 as one, null as nothing"
