halfopen query --data $DATA "select format, reason, raw_bytes from rejects"
