halfopen why --service gateway --operation "POST /checkout" --from 14:00 --to 14:15 --data $DATA
