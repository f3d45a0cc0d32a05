package main

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"

	newevents "k8s.io/client-go/tools/events"
)

// One leads, gives it up, and the other leads.
func leaders(ctx context.Context, config *rest.Config, namespace string) {
	client := kubernetes.NewForConfigOrDie(config)
	told := make(chan string, 10)
	elect := func(identity string) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		lock := get(resourcelock.New(resourcelock.LeasesResourceLock, namespace, "lock",
			client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity}))
		go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, ReleaseOnCancel: true,
			LeaseDuration: 60 * time.Second, RenewDeadline: 40 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { told <- identity + " leads" },
				OnStoppedLeading: func() { told <- identity + " stopped" },
			},
		})
		return cancel
	}
	stop := elect("one")
	fmt.Println(next(ctx, told))
	stopOther := elect("two")
	stop()
	fmt.Println(next(ctx, told))
	fmt.Println(next(ctx, told))
	lease := get(client.CoordinationV1().Leases(namespace).Get(ctx, "lock", meta.GetOptions{}))
	fmt.Println(*lease.Spec.HolderIdentity, *lease.Spec.LeaseTransitions)
	stopOther()
	fmt.Println(next(ctx, told))
}

// Both recorders of events, each of which merges what happens twice.
func events(ctx context.Context, config *rest.Config, namespace string) {
	client := kubernetes.NewForConfigOrDie(config)
	of := get(client.CoreV1().ConfigMaps(namespace).Create(ctx, &core.ConfigMap{ObjectMeta: named("subject")}, meta.CreateOptions{}))
	about := get(reference.GetReference(scheme.Scheme, of))

	broadcaster := record.NewBroadcaster()
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: client.CoreV1().Events(namespace)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: "older"})
	recorder.Event(about, core.EventTypeNormal, "Seen", "it is seen")
	recorder.Event(about, core.EventTypeNormal, "Seen", "it is seen")
	recorder.Eventf(about, core.EventTypeWarning, "Odd", "it is %s", "odd")
	count := func(reason string) int32 {
		selector := "involvedObject.name=subject,involvedObject.kind=ConfigMap,reason=" + reason
		for _, event := range get(client.CoreV1().Events(namespace).List(ctx, meta.ListOptions{FieldSelector: selector})).Items {
			return event.Count
		}
		return 0
	}
	until(ctx, func() bool { return count("Seen") == 2 && count("Odd") == 1 })

	newer := newevents.NewBroadcaster(&newevents.EventSinkImpl{Interface: client.EventsV1()})
	defer newer.Shutdown()
	must(newer.StartRecordingToSinkWithContext(ctx))
	newer.NewRecorder(scheme.Scheme, "newer").Eventf(about, nil, core.EventTypeNormal, "Again", "Looking", "it is %s", "again")
	until(ctx, func() bool {
		return len(get(client.EventsV1().Events(namespace).List(ctx, meta.ListOptions{FieldSelector: "reason=Again"})).Items) == 1
	})
	// One store under both groups.
	for _, event := range get(client.CoreV1().Events(namespace).List(ctx, meta.ListOptions{FieldSelector: "involvedObject.name=subject"})).Items {
		fmt.Println(event.Type, event.Reason, event.Message, event.Count, event.InvolvedObject.Name, event.Action, event.ReportingController)
	}
	for _, event := range get(client.EventsV1().Events(namespace).List(ctx, meta.ListOptions{})).Items {
		fmt.Println(event.Type, event.Reason, event.Note, event.DeprecatedCount, event.Regarding.Name, event.Action, event.ReportingController)
	}
}

// until asks again until it holds.
func until(ctx context.Context, holds func() bool) {
	for !holds() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			panic("it never held")
		}
	}
}
