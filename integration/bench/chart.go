package main

func chart(s setting, rows []row) string { return "" }
