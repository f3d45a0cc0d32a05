package main

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	coreinformers "k8s.io/client-go/informers"
)

// tell makes lines of what an informer tells.
func tell(informer cache.SharedIndexInformer, what func(meta.Object) string) <-chan string {
	told := make(chan string, 100)
	line := func(event string, object any) { told <- event + " " + what(object.(meta.Object)) }
	get(informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { line("added", object) },
		UpdateFunc: func(_, object any) { line("updated", object) },
		DeleteFunc: func(object any) { line("deleted", object) },
	}))
	return told
}

// Typed and metadata-only informers; both stream their first list.
func informers(ctx context.Context, config *rest.Config, namespace string) {
	ctx, cancel := context.WithCancel(ctx)
	client := kubernetes.NewForConfigOrDie(config)
	secrets := client.CoreV1().Secrets(namespace)
	of := func(name, value string) *core.Secret {
		return &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{"watched": "yes"}}, StringData: map[string]string{"v": value}}
	}
	get(secrets.Create(ctx, of("first", "1"), meta.CreateOptions{}))
	get(secrets.Create(ctx, &core.Secret{ObjectMeta: named("unlabelled")}, meta.CreateOptions{}))

	selected := func(options *meta.ListOptions) { options.LabelSelector = "watched" }
	factory := coreinformers.NewSharedInformerFactoryWithOptions(client, 0,
		coreinformers.WithNamespace(namespace), coreinformers.WithTweakListOptions(selected))
	informer := factory.Core().V1().Secrets().Informer()
	told := tell(informer, func(object meta.Object) string {
		return object.GetName() + " " + string(object.(*core.Secret).Data["v"])
	})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	resource := core.SchemeGroupVersion.WithResource("secrets")
	sparse := metadatainformer.NewFilteredSharedInformerFactory(metadata.NewForConfigOrDie(config), 0, namespace, selected)
	names := tell(sparse.ForResource(resource).Informer(), meta.Object.GetName)
	sparse.Start(ctx.Done())
	sparse.WaitForCacheSync(ctx.Done())
	show := func() { fmt.Println(next(ctx, told), "|", next(ctx, names)) }

	show()
	get(secrets.Create(ctx, of("second", "1"), meta.CreateOptions{}))
	show()
	get(secrets.Patch(ctx, "second", types.MergePatchType, []byte(`{"stringData":{"v":"2"}}`), meta.PatchOptions{}))
	show()
	get(secrets.Patch(ctx, "first", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), meta.PatchOptions{}))
	show()
	must(secrets.Delete(ctx, "second", meta.DeleteOptions{}))
	show()
	fmt.Println(informer.GetStore().ListKeys())
	cancel()
	factory.Shutdown()
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// A custom kind by the dynamic client and its informer.
func custom(ctx context.Context, config *rest.Config, namespace string) {
	ctx, cancel := context.WithCancel(ctx)
	client := dynamic.NewForConfigOrDie(config)
	group := namespace + ".clients.test"
	get(client.Resource(crds).Create(ctx, definition(group), meta.CreateOptions{}))
	established(ctx, client, "widgets."+group)
	resource := schema.GroupVersionResource{Group: group, Version: "v1", Resource: "widgets"}
	widgets := client.Resource(resource).Namespace(namespace)
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, nil)
	told := tell(factory.ForResource(resource).Informer(), func(object meta.Object) string {
		of := object.(*unstructured.Unstructured)
		return fmt.Sprint(of.GetName(), " ", of.Object["spec"], " ", of.Object["status"], " ", of.GetGeneration())
	})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	widget := func(name string, size int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": group + "/v1", "kind": "Widget",
			"metadata": map[string]any{"name": name},
			"spec":     map[string]any{"size": size},
		}}
	}
	made := get(widgets.Create(ctx, widget("w", 1), meta.CreateOptions{}))
	fmt.Println(next(ctx, told))
	_, err := widgets.Create(ctx, widget("bad", -1), meta.CreateOptions{})
	fmt.Println(err)
	must(unstructured.SetNestedField(made.Object, "done", "status", "phase"))
	get(widgets.UpdateStatus(ctx, made, meta.UpdateOptions{}))
	fmt.Println(next(ctx, told))
	get(widgets.Apply(ctx, "w", widget("w", 2), meta.ApplyOptions{FieldManager: "go", Force: true}))
	fmt.Println(next(ctx, told))
	list := get(widgets.List(ctx, meta.ListOptions{FieldSelector: "spec.size=2"}))
	fmt.Println(len(list.Items), list.GetKind())
	must(widgets.Delete(ctx, "w", meta.DeleteOptions{}))
	fmt.Println(next(ctx, told))
	cancel()
	factory.Shutdown()
	must(client.Resource(crds).Delete(context.Background(), "widgets."+group, meta.DeleteOptions{}))
}

func definition(group string) *unstructured.Unstructured {
	object := func(properties map[string]any) map[string]any {
		return map[string]any{"type": "object", "properties": properties}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "widgets." + group},
		"spec": map[string]any{
			"group": group, "scope": "Namespaced",
			"names": map[string]any{"plural": "widgets", "kind": "Widget"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"subresources":     map[string]any{"status": map[string]any{}},
				"selectableFields": []any{map[string]any{"jsonPath": ".spec.size"}},
				"schema": map[string]any{"openAPIV3Schema": object(map[string]any{
					"spec": object(map[string]any{
						"size":  map[string]any{"type": "integer", "minimum": int64(0)},
						"color": map[string]any{"type": "string", "default": "red"},
					}),
					"status": object(map[string]any{"phase": map[string]any{"type": "string"}}),
				})},
			}},
		},
	}}
}

func established(ctx context.Context, client dynamic.Interface, name string) {
	watch := get(client.Resource(crds).Watch(ctx, meta.ListOptions{FieldSelector: "metadata.name=" + name}))
	defer watch.Stop()
	for event := range watch.ResultChan() {
		of := event.Object.(*unstructured.Unstructured)
		conditions, _, _ := unstructured.NestedSlice(of.Object, "status", "conditions")
		for _, condition := range conditions {
			if fields := condition.(map[string]any); fields["type"] == "Established" && fields["status"] == "True" {
				return
			}
		}
	}
	panic("the definition is not established")
}
