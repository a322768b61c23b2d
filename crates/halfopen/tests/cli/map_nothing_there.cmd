halfopen map --from 2026-11-20T01:00:00Z --to 2026-11-20T01:05:00Z --data $DATA
