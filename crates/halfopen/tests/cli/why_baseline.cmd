halfopen why --from 14:05 --to 14:10 --baseline 14:00..14:02 --data $DATA
