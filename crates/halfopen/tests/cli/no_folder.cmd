halfopen find req_1 --data /nowhere/at/all
