// A {{Kind}} runs its image in as many pods as it asks for.
package main

import trimtab "trimtab.dev/sdk"

const deployment = "apps/v1/Deployment"

type object = trimtab.Object

var plugin = &trimtab.Composite{
	For:       "example.dev/v1/{{Kind}}",
	Children:  []string{deployment},
	Reconcile: reconcile,
}

func init() { trimtab.Serve(plugin) }

func main() {} // never called

func reconcile(run *trimtab.Run) (*trimtab.Answer, error) {
	name := trimtab.Text(run.Object, "metadata", "name")
	image := trimtab.Text(run.Object, "spec", "image")
	replicas := trimtab.Int(run.Object, 1, "spec", "replicas")
	running, err := run.Child(deployment, name)
	if err != nil {
		return nil, err
	}
	labels := object{"app": name}
	pod := object{"containers": []object{{"name": "main", "image": image}}}
	return &trimtab.Answer{
		Children: []object{{
			"apiVersion": "apps/v1",
			"kind":       "Deployment",
			"metadata":   object{"name": name},
			"spec": object{
				"replicas": replicas,
				"selector": object{"matchLabels": labels},
				"template": object{"metadata": object{"labels": labels}, "spec": pod},
			},
		}},
		Status: object{"ready": trimtab.Int(running, 0, "status", "readyReplicas") >= replicas},
	}, nil
}
