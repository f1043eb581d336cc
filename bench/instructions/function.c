// The function that is called, once with an entry that Calltap can use (watched) and once without (plain).
long FUNCTION(long x);
long FUNCTION(long x) { return x + 1; }
