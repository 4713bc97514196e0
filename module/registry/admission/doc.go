// Package admission says what a publish may take: a name, bytes, versions and files of the
// owner's quota, and a slot among the uploads in progress.
//
// Nothing that a client merely announces takes anything. Bytes count when they have come.
package admission
