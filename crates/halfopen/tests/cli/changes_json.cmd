halfopen changes --from 13:50 --to 14:15 --data $DATA --json --kind deploy
