// Writes messages.json: how the stable built-in kinds are laid out in protobuf
// and what their fields are called in JSON. Both are in the struct tags of the
// Go types and in no document of the server, so it is asked of these types:
//
//	cd tests/control-plane && go run ../../host/apiserver/data/messages/main.go > ../../host/apiserver/data/messages.json
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

// Types whose JSON does not look like their message; the reader knows each by
// this name.
var special = map[reflect.Type]string{
	reflect.TypeFor[meta.Time]():                                  "time",
	reflect.TypeFor[meta.MicroTime]():                             "microtime",
	reflect.TypeFor[meta.FieldsV1]():                              "json",
	reflect.TypeFor[runtime.RawExtension]():                       "json",
	reflect.TypeFor[apiextensions.JSON]():                         "json",
	reflect.TypeFor[resource.Quantity]():                          "quantity",
	reflect.TypeFor[intstr.IntOrString]():                         "intstr",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       "schemas",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        "schemaorbool",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): "schemaorstrings",
}

var (
	messages = map[string]string{}
	kinds    = map[string]string{}
)

func main() {
	if err := apiextensions.AddToScheme(scheme.Scheme); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for gvk, of := range scheme.Scheme.AllKnownTypes() {
		if served(gvk, of) {
			kinds[gvk.GroupVersion().String()+"/"+gvk.Kind] = message(of)
		}
	}
	fmt.Println("{\n\"kinds\": {")
	print(kinds)
	fmt.Println("},\n\"messages\": {")
	print(messages)
	fmt.Println("}\n}")
}

// Stable versions, and nothing that is only ever read.
func served(gvk schema.GroupVersionKind, of reflect.Type) bool {
	unstable := strings.Contains(gvk.Version, "alpha") || strings.Contains(gvk.Version, "beta")
	internal := gvk.Version == runtime.APIVersionInternal
	options := strings.HasSuffix(gvk.Kind, "Options") && gvk.Kind != "DeleteOptions"
	answer := strings.HasSuffix(gvk.Kind, "List") || gvk.Kind == "WatchEvent"
	return !unstable && !internal && !options && !answer && isMessage(of)
}

func print(table map[string]string) {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		fmt.Printf("%q: %q%s\n", name, table[name], comma)
	}
}

func isMessage(of reflect.Type) bool {
	_, found := reflect.PointerTo(of).MethodByName("MarshalTo")
	return found
}

// The name of a type's message; it is described at the first sight of it.
func message(of reflect.Type) string {
	path := strings.Split(of.PkgPath(), "/")
	name := strings.Join(append(path[max(0, len(path)-2):], of.Name()), ".")
	if _, known := messages[name]; known {
		return name
	}
	messages[name] = ""
	if of.Kind() == reflect.Slice {
		// A list that is a message for itself: ExtraValue.
		messages[name] = "1 = " + shape(of.Elem()) + " repeated"
		return name
	}
	var fields []string
	for i := range of.NumField() {
		if field := describe(of.Field(i)); field != "" {
			fields = append(fields, field)
		}
	}
	messages[name] = strings.Join(fields, "; ")
	return name
}

// NUMBER JSON-NAME SHAPE [repeated|map] [drop]: drop where Go leaves out the
// zero value. A name of = stands for a struct whose fields are the parent's.
func describe(field reflect.StructField) string {
	tag := field.Tag.Get("protobuf")
	if tag == "" || tag == "-" {
		return ""
	}
	number := strings.Split(tag, ",")[1]
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	if strings.Contains(options, "inline") {
		name = "="
	}
	of, how := field.Type, ""
	pointer := of.Kind() == reflect.Pointer
	if pointer {
		of = of.Elem()
	}
	switch {
	case isMessage(of):
	case of.Kind() == reflect.Map:
		of, how = of.Elem(), " map"
	case of.Kind() == reflect.Slice && of.Elem().Kind() != reflect.Uint8:
		of, how = of.Elem(), " repeated"
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
	}
	isStruct := of.Kind() == reflect.Struct && special[of] != "time" && special[of] != "microtime"
	if strings.Contains(options, "omitempty") && !pointer && !isStruct && how == "" {
		how = " drop"
	}
	return number + " " + name + " " + shape(of) + how
}

func shape(of reflect.Type) string {
	if name, found := special[of]; found {
		if strings.HasPrefix(name, "schema") {
			message(reflect.TypeFor[apiextensions.JSONSchemaProps]())
		}
		return name
	}
	if isMessage(of) {
		return message(of)
	}
	switch of.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Float64:
		return "double"
	case reflect.Slice:
		return "bytes"
	}
	panic(fmt.Sprintf("%v has no known shape", of))
}
