//go:build wasip1

package trimtab

import (
	"errors"
	"maps"
	"runtime/debug"
	"slices"
	"time"
	"unsafe"
)

// The contract as the canonical ABI of components has it. Texts are pairs of an
// address and a length; what is larger than 16 values passes through memory, with
// the offsets that the constants name. Records lie in the order of the contract.

// The collector is held but for the plugin's own code: one that starts while the
// host writes into this module reads the clock there, which the host forbids.
func init() {
	debug.SetGCPercent(-1)
	debug.SetMaxStack(maxStack)
}

var errNothing = errors.New("this module serves nothing: call trimtab.Serve in an init function")

const (
	gcPercent = 100
	// maxStack is reached by an endless recursion before the host's own limit,
	// which would tell of no place.
	maxStack     = 512 << 10
	groupSize    = 36
	groupAPI     = 12
	groupKind    = 20
	groupObjects = 28
)

// kept holds on to what the host writes, and to what it has yet to read. The
// module lives for one call, so nothing is given back.
var kept []any

func keep[T any](values []T) uint32 {
	if len(values) == 0 {
		return 0
	}
	kept = append(kept, values)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(values))))
}

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	words := make([]uint64, (size+7)/8)
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size), unsafe.Slice(at[byte](old), oldSize))
	}
	return keep(words)
}

// adapterMemory is what the adapter to preview 1 lives in. It asks while the
// runtime starts, when nothing can be allocated; and it must not grow the memory
// by itself, of which Go takes the end for its own.
var (
	adapterMemory [3 << 16]byte
	adapterUsed   uint32
)

//go:nosplit
//go:wasmexport cabi_realloc_adapter
func adapterRealloc(_, _, align, size uint32) uint32 {
	begin := uint32(uintptr(unsafe.Pointer(&adapterMemory)))
	found := (begin + adapterUsed + align - 1) &^ (align - 1)
	adapterUsed = found + size - begin
	return uint32(uintptr(unsafe.Pointer(&adapterMemory[adapterUsed-1]))) + 1 - size
}

//go:wasmexport trimtab-draft-ae1cbb668d2c5f17
func draft() {}

//go:wasmexport trimtab:plugin/controller@0.1.0#describe
func describe(config, configLen uint32) uint32 {
	if served == nil {
		return result(textOr("", errNothing))
	}
	return result(textOr(served.describe()))
}

// textOr is `result<json, string>`: case, address, length.
func textOr(text string, err error) []uint32 {
	if err != nil {
		return append([]uint32{1}, lower(err.Error())...)
	}
	return append([]uint32{0}, lower(text)...)
}

//go:wasmexport trimtab:plugin/controller@0.1.0#reconcile
func reconcile(
	cluster, clusterLen, hasInstance, instance, instanceLen, now, nowLen, config, configLen, object, objectLen,
	children, childrenLen, finalizing, extra, extraLen uint32,
) uint32 {
	given := request{
		cluster: lift(cluster, clusterLen), now: lift(now, nowLen), config: lift(config, configLen),
		object: lift(object, objectLen), children: groups(children, childrenLen), finalizing: finalizing != 0,
	}
	if hasInstance != 0 {
		given.instanceID = lift(instance, instanceLen)
	}
	if served == nil {
		return result(failed(errNothing))
	}
	debug.SetGCPercent(gcPercent)
	done, err := served.run(given, imports{})
	debug.SetGCPercent(-1)
	if err != nil {
		return result(failed(err))
	}
	return result(answered(done))
}

func groups(address, count uint32) map[string][]string {
	groups := make(map[string][]string, count)
	for ; count > 0; count, address = count-1, address+groupSize {
		kind := text(address+groupAPI) + "/" + text(address+groupKind)
		groups[kind] = texts(*at[uint32](address + groupObjects), *at[uint32](address + groupObjects + 4))
	}
	return groups
}

// answered is `result<response, failure>` in its first case.
func answered(done *response) []uint32 {
	answer := done.answer
	var children []uint32
	for _, child := range done.children {
		children = append(children, lower(child)...)
	}
	words := []uint32{0, keep(children), uint32(len(done.children))}
	words = append(words, option(done.status)...)
	words = append(words, marks(answer.Labels)...)
	words = append(words, marks(answer.Annotations)...)
	var events []uint32
	for _, event := range answer.Events {
		events = append(append(append(events, flag(event.Warning)), lower(event.Reason)...), lower(event.Message)...)
	}
	words = append(words, keep(events), uint32(len(answer.Events)))
	words = append(words, milliseconds(answer.RequeueAfter)...)
	return append(words, flag(answer.Finalized), 0, 0, 0)
}

// failed is the same in its second.
func failed(err error) []uint32 {
	failure := failure(err)
	words := append([]uint32{1, uint32(failure.Outcome)}, lower(failure.Message)...)
	return append(words, milliseconds(failure.RetryAfter)...)
}

// imports is the host.
type imports struct{}

func (imports) log(level Level, message string) {
	debug.SetGCPercent(-1)
	hostLog(uint32(level), message)
	debug.SetGCPercent(gcPercent)
}

func (imports) get(kind, namespace, name string) (string, bool, error) {
	apiVersion, kind := splitKind(kind)
	found := make([]uint32, 4)
	debug.SetGCPercent(-1)
	hostGet(0, "", apiVersion, kind, flag(namespace != ""), namespace, name, keep(found))
	debug.SetGCPercent(gcPercent)
	if found[0] != 0 {
		return "", false, errors.New(lift(found[1], found[2]))
	}
	return lift(found[2], found[3]), found[1] != 0, nil
}

func (imports) list(kind, namespace, selector string, limit uint32) ([]string, error) {
	apiVersion, kind := splitKind(kind)
	found := make([]uint32, 3)
	debug.SetGCPercent(-1)
	hostSelect(
		0, "", apiVersion, kind, flag(namespace != ""), namespace, flag(selector != ""), selector, limit, keep(found),
	)
	debug.SetGCPercent(gcPercent)
	if found[0] != 0 {
		return nil, errors.New(lift(found[1], found[2]))
	}
	return texts(found[1], found[2]), nil
}

//go:wasmimport trimtab:plugin/host@0.1.0 log
func hostLog(level uint32, message string)

//go:wasmimport trimtab:plugin/host@0.1.0 get
func hostGet(
	hasCluster uint32, cluster, apiVersion, kind string, hasNamespace uint32, namespace, name string, found uint32,
)

//go:wasmimport trimtab:plugin/host@0.1.0 select
func hostSelect(
	hasCluster uint32, cluster, apiVersion, kind string, hasNamespace uint32, namespace string, hasSelector uint32,
	selector string, limit uint32, found uint32,
)

// at is the value at an address.
func at[T any](address uint32) *T { return (*T)(unsafe.Pointer(uintptr(address))) }

// lift is the text that lies there.
func lift(address, length uint32) string {
	if length == 0 {
		return ""
	}
	return unsafe.String(at[byte](address), length)
}

// text is the one of which address and length lie there.
func text(address uint32) string { return lift(*at[uint32](address), *at[uint32](address + 4)) }

func texts(address, count uint32) []string {
	texts := make([]string, 0, count)
	for ; count > 0; count, address = count-1, address+8 {
		texts = append(texts, text(address))
	}
	return texts
}

func lower(text string) []uint32 { return []uint32{keep([]byte(text)), uint32(len(text))} }

func option(text *string) []uint32 {
	if text == nil {
		return []uint32{0, 0, 0}
	}
	return append([]uint32{1}, lower(*text)...)
}

// marks is a list of keys with values, or with none.
func marks(marks map[string]*string) []uint32 {
	var words []uint32
	for _, key := range slices.Sorted(maps.Keys(marks)) {
		value := marks[key]
		words = append(append(words, lower(key)...), option(value)...)
	}
	return []uint32{keep(words), uint32(len(marks))}
}

// milliseconds is an option that is absent at zero.
func milliseconds(delay time.Duration) []uint32 {
	if delay <= 0 {
		return []uint32{0, 0}
	}
	return []uint32{1, uint32(min(delay.Milliseconds(), 1<<32-1))}
}

func flag(truth bool) uint32 {
	if truth {
		return 1
	}
	return 0
}

// result lays down what the host is to read.
func result(words []uint32) uint32 { return keep(words) }
