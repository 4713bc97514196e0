// Package moving copies a registry into another pair of stores.
//
// Bytes come first, in any number of passes while the registry is used: what the target has
// tells what is left, so a copy that was cut goes on where it was. Names come last, all
// at once, from a registry that is stopped. Until then the target has bytes that are tied
// to the ID of the registry, and a folder in its root that keeps servers from it.
package moving
