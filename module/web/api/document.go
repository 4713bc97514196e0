package api

// documentPath is where, below the prefix, all APIs are described.
var documentPath = []string{"-", "openapi.json"}
