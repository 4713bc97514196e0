//go:build 386 || arm || mips || mipsle || wasm

package disk

// The database maps files that are larger than the address space of a 32-bit system, and
// nobody has tried one. The name of what is not declared is what the compiler says.
var _ = the_generic_registry_needs_a_64_bit_system_such_as_amd64_or_arm64
