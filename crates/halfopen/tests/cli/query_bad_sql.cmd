halfopen query --data $DATA "select colour from spans"
