halfopen tarce 7f3a
