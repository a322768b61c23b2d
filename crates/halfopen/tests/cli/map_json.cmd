halfopen map --from 14:00 --to 14:15 --data $DATA --json
