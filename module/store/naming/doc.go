// Package naming says which names owners, packages, versions and files may have, and which
// names a pattern selects.
package naming
