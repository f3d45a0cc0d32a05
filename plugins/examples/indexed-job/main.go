// An IndexedJob runs a pod for each index from 0 on, some at a time. A new template
// reaches the pods that still run one after the other, and not the indexes that are
// done.
package main

import (
	"fmt"
	"slices"
	"strconv"

	trimtab "trimtab.dev/sdk"
)

type object = trimtab.Object

var indexedJob = &trimtab.Composite{
	For:      "example.dev/v1/IndexedJob",
	Children: []string{"v1/Pod"},
	// A pod's template cannot change in place. When one is ready, and the next may
	// go, says the policy.
	Updates:   map[string]string{"v1/Pod": "rolling-recreate"},
	Reconcile: reconcile,
}

func init() { trimtab.Serve(indexedJob) }

func main() {}

func reconcile(run *trimtab.Run) (*trimtab.Answer, error) {
	spec := trimtab.Field(run.Object, "spec")
	completions := trimtab.Int(spec, 1, "completions")
	parallelism := trimtab.Int(spec, 1, "parallelism")
	pods, err := run.Children("v1/Pod")
	if err != nil {
		return nil, err
	}
	phases := make(map[string]string, len(pods))
	for _, pod := range pods {
		phases[trimtab.Text(pod, "metadata", "name")] = trimtab.Text(pod, "status", "phase")
	}

	recorded := recorded(run.Object)
	done, active := []int64{}, int64(0)
	var children []object
	for index := range completions {
		pod := pod(run.Object, index)
		phase := phases[trimtab.Text(pod, "metadata", "name")]
		switch {
		case slices.Contains(recorded, index):
			done = append(done, index) // so its pod may go
		case phase == "Succeeded":
			done = append(done, index)
			children = append(children, pod)
		case active == parallelism:
		case phase == "Failed":
			active++ // it goes, and the next look makes it anew
		default:
			active++
			children = append(children, pod)
		}
	}
	return &trimtab.Answer{
		Children: children,
		Status: object{
			"active": active, "succeeded": len(done), "completedIndexes": done,
			"complete": int64(len(done)) == completions,
		},
	}, nil
}

// recorded are the indexes that are done for ever: those of the status as it is
// stored. What a pod has done is lost if it goes before that is written.
func recorded(job object) []int64 {
	written, _ := trimtab.Field(job, "status", "completedIndexes").([]any)
	indexes := make([]int64, 0, len(written))
	for _, index := range written {
		indexes = append(indexes, trimtab.Int(index, -1))
	}
	return indexes
}

// pod is the template with a name of its own, and the index in JOB_INDEX.
func pod(job object, index int64) object {
	name := trimtab.Text(job, "metadata", "name")
	spec := object{"restartPolicy": "OnFailure"}
	template, _ := trimtab.Field(job, "spec", "template", "spec").(object)
	for key, value := range template {
		spec[key] = value
	}
	containers := []object{}
	given, _ := spec["containers"].([]any)
	for _, one := range given {
		container := object{}
		given, _ := one.(object)
		for key, value := range given {
			container[key] = value
		}
		env, _ := container["env"].([]any)
		container["env"] = append(slices.Clone(env), object{"name": "JOB_INDEX", "value": strconv.FormatInt(index, 10)})
		containers = append(containers, container)
	}
	spec["containers"] = containers
	return object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{"name": fmt.Sprintf("%s-%d", name, index), "labels": object{"job": name}},
		"spec":     spec,
	}
}
