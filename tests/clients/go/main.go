// Does with a Kubernetes API what Go controllers do, by client-go and by
// controller-runtime, and prints what it sees. The test runs it against two
// servers and compares; it fails by itself where something does not come.
//
//	clients KUBECONFIG NAMESPACE
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// How long the whole story may take; on an idle machine it is a few seconds.
const limit = 2 * time.Minute

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	must(err)
	config.QPS = -1
	klog.LogToStderr(true)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, chapter := range []struct {
		title string
		tell  func(context.Context, *rest.Config, string)
	}{
		{"discovery", discover},
		{"typed", typed},
		{"apply", apply},
		{"informers", informers},
		{"custom", custom},
		{"events", events},
		{"leaders", leaders},
		{"manager", manage},
	} {
		fmt.Println("#", chapter.title)
		chapter.tell(ctx, config, os.Args[2])
	}
	fmt.Println("told to the end")
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func get[T any](value T, err error) T {
	must(err)
	return value
}

// next waits for what an informer or a watch tells next.
func next(ctx context.Context, told <-chan string) string {
	select {
	case line := <-told:
		return line
	case <-ctx.Done():
		panic("nothing came")
	}
}

func named(name string) meta.ObjectMeta {
	return meta.ObjectMeta{Name: name}
}
