halfopen query --data $DATA "drop table spans"
