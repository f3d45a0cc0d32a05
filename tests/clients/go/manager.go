package main

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const finalizer = "clients.test/finalizer"

// A controller of controller-runtime: each ConfigMap labelled `owner` has a
// Secret with its data; a finalizer is held until the object is seen deleting.
type reconciler struct {
	client.Client
	told chan string
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var owner core.ConfigMap
	if err := r.Get(ctx, request.NamespacedName, &owner); err != nil {
		if errors.IsNotFound(err) {
			r.told <- request.Name + " is gone"
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if owner.Labels["owner"] == "" {
		return ctrl.Result{}, nil
	}
	if owner.DeletionTimestamp != nil {
		if !controllerutil.RemoveFinalizer(&owner, finalizer) {
			return ctrl.Result{}, nil
		}
		// Told once it is done: a cache that is behind has it tried again.
		err := r.Update(ctx, &owner)
		if err == nil {
			r.told <- owner.Name + " is let go"
		}
		return ctrl.Result{}, err
	}
	if controllerutil.AddFinalizer(&owner, finalizer) {
		return ctrl.Result{}, r.Update(ctx, &owner)
	}
	child := &core.Secret{ObjectMeta: named(owner.Name)}
	child.Namespace = owner.Namespace
	done, err := controllerutil.CreateOrUpdate(ctx, r.Client, child, func() error {
		child.Data = map[string][]byte{"v": []byte(owner.Data["v"])}
		return controllerutil.SetControllerReference(&owner, child, scheme.Scheme)
	})
	if err == nil && done != controllerutil.OperationResultNone {
		r.told <- fmt.Sprint(child.Name, " ", done, " ", string(child.Data["v"]))
	}
	return ctrl.Result{}, err
}

func manage(ctx context.Context, config *rest.Config, namespace string) {
	ctx, cancel := context.WithCancel(ctx)
	ctrl.SetLogger(klog.Background())
	manager := get(ctrl.NewManager(config, ctrl.Options{
		Metrics:                 server.Options{BindAddress: "0"},
		Cache:                   cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		LeaderElection:          true,
		LeaderElectionID:        "manager",
		LeaderElectionNamespace: namespace,
	}))
	reconciler := &reconciler{Client: manager.GetClient(), told: make(chan string, 100)}
	must(ctrl.NewControllerManagedBy(manager).For(&core.ConfigMap{}).Owns(&core.Secret{}).Complete(reconciler))
	ended := make(chan error)
	go func() { ended <- manager.Start(ctx) }()

	owner := &core.ConfigMap{ObjectMeta: named("owner"), Data: map[string]string{"v": "1"}}
	owner.Namespace = namespace
	owner.Labels = map[string]string{"owner": "yes"}
	direct := get(client.New(config, client.Options{}))
	must(direct.Create(ctx, owner))
	fmt.Println(next(ctx, reconciler.told))
	before := client.MergeFrom(owner.DeepCopy())
	owner.Data["v"] = "2"
	must(direct.Patch(ctx, owner, before))
	fmt.Println(next(ctx, reconciler.told))
	child := &core.Secret{ObjectMeta: named("owner")}
	child.Namespace = namespace
	must(direct.Delete(ctx, child))
	fmt.Println(next(ctx, reconciler.told))
	must(direct.Delete(ctx, owner))
	fmt.Println(next(ctx, reconciler.told))
	fmt.Println(next(ctx, reconciler.told))
	cancel()
	must(<-ended)
}
