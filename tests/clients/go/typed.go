package main

import (
	"context"
	"fmt"
	"sort"
	"strings"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

// Aggregated and older discovery, the mapper made of it, and OpenAPI.
func discover(_ context.Context, config *rest.Config, _ string) {
	client := discovery.NewDiscoveryClientForConfigOrDie(config)
	older := discovery.NewDiscoveryClientForConfigOrDie(config)
	older.UseLegacyDiscovery = true
	fmt.Println(get(client.ServerVersion()).GitVersion)
	for _, client := range []*discovery.DiscoveryClient{client, older} {
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
		for _, name := range []string{"deployments.apps", "cm", "po", "events", "hpa", "sts", "crd"} {
			parsed := schema.ParseGroupResource(name)
			kind, err := mapper.KindFor(parsed.WithVersion(""))
			fmt.Println(name, kind, err)
		}
		mapping := get(mapper.RESTMapping(schema.GroupKind{Group: "batch", Kind: "CronJob"}))
		fmt.Println(mapping.Resource, mapping.Scope.Name())
		var lines []string
		for _, list := range get(client.ServerPreferredResources()) {
			if list.GroupVersion != "apps/v1" && list.GroupVersion != "rbac.authorization.k8s.io/v1" {
				continue
			}
			for _, resource := range list.APIResources {
				lines = append(lines, fmt.Sprint(list.GroupVersion, " ", resource.Name, resource.Kind, resource.Verbs, resource.ShortNames))
			}
		}
		sort.Strings(lines)
		fmt.Println(strings.Join(lines, "\n"))
	}
	paths := get(client.OpenAPIV3().Paths())
	document := string(get(paths["apis/apps/v1"].Schema("application/json")))
	fmt.Println(strings.Contains(document, `"io.k8s.api.apps.v1.Deployment"`))
}

// The verbs of a typed client, which speaks protobuf.
func typed(ctx context.Context, config *rest.Config, namespace string) {
	client := kubernetes.NewForConfigOrDie(config)
	maps := client.CoreV1().ConfigMaps(namespace)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		of := &core.ConfigMap{ObjectMeta: named(name), Data: map[string]string{"n": name}, BinaryData: map[string][]byte{"x": {0xff}}}
		of.Labels = map[string]string{"app": "typed"}
		get(maps.Create(ctx, of, meta.CreateOptions{}))
	}
	_, err := maps.Create(ctx, &core.ConfigMap{ObjectMeta: named("a")}, meta.CreateOptions{})
	fmt.Println(errors.IsAlreadyExists(err), err)
	_, err = maps.Get(ctx, "nope", meta.GetOptions{})
	fmt.Println(errors.IsNotFound(err), err)
	_, err = maps.Create(ctx, &core.ConfigMap{ObjectMeta: named("Not_A_Name")}, meta.CreateOptions{})
	fmt.Println(errors.IsInvalid(err), err)

	stale := get(maps.Get(ctx, "a", meta.GetOptions{}))
	fmt.Println(stale.APIVersion, stale.Data, stale.BinaryData, len(stale.UID))
	fresh := stale.DeepCopy()
	fresh.Data["n"] = "fresh"
	get(maps.Update(ctx, fresh, meta.UpdateOptions{}))
	_, err = maps.Update(ctx, stale, meta.UpdateOptions{})
	fmt.Println(errors.IsConflict(err), err)
	must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		current := get(maps.Get(ctx, "a", meta.GetOptions{}))
		current.Data["retried"] = "yes"
		_, err := maps.Update(ctx, current, meta.UpdateOptions{})
		return err
	}))
	patched := get(maps.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{"data":{"n":null}}`), meta.PatchOptions{}))
	fmt.Println(patched.Data)

	pages := pager.New(pager.SimplePageFunc(func(options meta.ListOptions) (runtime.Object, error) {
		return maps.List(ctx, options)
	}))
	pages.PageSize = 2
	var names []string
	must(pages.EachListItem(ctx, meta.ListOptions{LabelSelector: "app=typed"}, func(object runtime.Object) error {
		names = append(names, object.(*core.ConfigMap).Name)
		return nil
	}))
	fmt.Println(names)
	must(maps.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{LabelSelector: "app=typed", FieldSelector: "metadata.name!=e"}))
	for _, left := range get(maps.List(ctx, meta.ListOptions{})).Items {
		fmt.Println("left", left.Name)
	}
	scaled(ctx, client, namespace)
}

// A deployment's status and scale.
func scaled(ctx context.Context, client kubernetes.Interface, namespace string) {
	deployments := client.AppsV1().Deployments(namespace)
	labels := map[string]string{"app": "web"}
	web := &apps.Deployment{ObjectMeta: named("web")}
	web.Spec.Selector = &meta.LabelSelector{MatchLabels: labels}
	web.Spec.Template.Labels = labels
	web.Spec.Template.Spec.Containers = []core.Container{{Name: "web", Image: "nginx"}}
	made := get(deployments.Create(ctx, web, meta.CreateOptions{}))
	fmt.Println(*made.Spec.Replicas, made.Spec.Strategy.Type, made.Spec.Template.Spec.RestartPolicy, made.Generation)
	scale := get(deployments.GetScale(ctx, "web", meta.GetOptions{}))
	scale.Spec.Replicas = 0
	fmt.Println(get(deployments.UpdateScale(ctx, "web", scale, meta.UpdateOptions{})).Spec.Replicas)
	made = get(deployments.Get(ctx, "web", meta.GetOptions{}))
	made.Status.Replicas = 2
	made.Spec.Paused = true
	made = get(deployments.UpdateStatus(ctx, made, meta.UpdateOptions{}))
	fmt.Println(*made.Spec.Replicas, made.Spec.Paused, made.Status.Replicas, made.Generation)
	must(deployments.Delete(ctx, "web", meta.DeleteOptions{Preconditions: meta.NewUIDPreconditions(string(made.UID))}))
}

// Server-side apply by two managers.
func apply(ctx context.Context, config *rest.Config, namespace string) {
	maps := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(namespace)
	of := func(value string) *applycore.ConfigMapApplyConfiguration {
		return applycore.ConfigMap("applied", namespace).WithData(map[string]string{"x": value})
	}
	get(maps.Apply(ctx, of("1"), meta.ApplyOptions{FieldManager: "one"}))
	_, err := maps.Apply(ctx, of("2"), meta.ApplyOptions{FieldManager: "two"})
	fmt.Println(errors.IsConflict(err), err)
	taken := get(maps.Apply(ctx, of("2"), meta.ApplyOptions{FieldManager: "two", Force: true}))
	var managers []string
	for _, entry := range taken.ManagedFields {
		managers = append(managers, fmt.Sprint(entry.Manager, " ", entry.Operation, " ", string(entry.FieldsV1.Raw)))
	}
	sort.Strings(managers)
	fmt.Println(taken.Data, managers)
	extracted := get(applycore.ExtractConfigMap(taken, "two"))
	fmt.Println(extracted.Data)
}
