// A Page becomes a Deployment, a Service and a ConfigMap with its text. The same
// plugin is beside this one in other languages.
package main

import (
	"encoding/json"
	"time"

	trimtab "trimtab.dev/sdk"
)

const defaultImage = "docker.io/library/nginx:1.29"

type object = trimtab.Object

var page = &trimtab.Composite{
	For:       "example.dev/v1/Page",
	Children:  []string{"v1/ConfigMap", "apps/v1/Deployment", "v1/Service"},
	Reads:     []string{"v1/Secret"},
	Finalizes: true,
	Reconcile: reconcile,
}

func init() { trimtab.Serve(page) }

func main() {}

func reconcile(run *trimtab.Run) (*trimtab.Answer, error) {
	name := trimtab.Text(run.Object, "metadata", "name")
	host := trimtab.Text(run.Object, "spec", "host")
	tls := trimtab.Text(run.Object, "spec", "tls")
	replicas := trimtab.Int(run.Object, 1, "spec", "replicas")
	if run.Finalizing {
		closed := trimtab.Event{Reason: "Closed", Message: host + " is closed"}
		return &trimtab.Answer{Finalized: true, Events: []trimtab.Event{closed}}, nil
	}
	if host == "" {
		return nil, trimtab.Refuse("spec.host is empty")
	}
	if tls != "" {
		secret, err := run.Get("v1/Secret", tls)
		if err != nil {
			return nil, err
		}
		if secret == nil {
			return nil, trimtab.WaitFor("the secret " + tls)
		}
	}

	web, err := run.Child("apps/v1/Deployment", name)
	if err != nil {
		return nil, err
	}
	pages, err := run.Children("v1/ConfigMap")
	if err != nil {
		return nil, err
	}
	ready := trimtab.Int(web, 0, "status", "readyReplicas") >= replicas
	answer := &trimtab.Answer{
		Children: children(run, name, tls, replicas),
		Status: object{
			"ready":              ready,
			"url":                scheme(tls) + "://" + host + "/",
			"pages":              len(pages),
			"settings":           settings(run.Object),
			"observedGeneration": trimtab.Int(run.Object, 0, "metadata", "generation"),
		},
	}
	if !ready {
		run.Log(trimtab.Info, "%s is not ready", name)
		answer.RequeueAfter = 30 * time.Second
		return answer, nil
	}
	run.Log(trimtab.Info, "%s is ready", name)
	if !trimtab.Bool(run.Object, "status", "ready") {
		answer.Events = []trimtab.Event{{Reason: "Served", Message: host + " is served"}}
	}
	return answer, nil
}

func children(run *trimtab.Run, name, tls string, replicas int64) []object {
	labels := object{"app": name}
	metadata := object{"name": name, "labels": labels}
	return []object{
		{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
			"data": object{"index.html": trimtab.Text(run.Object, "spec", "text")},
		},
		{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
			"spec": object{
				"replicas": replicas,
				"selector": object{"matchLabels": labels},
				"template": object{"metadata": object{"labels": labels}, "spec": pod(run, name, tls)},
			},
		},
		{
			"apiVersion": "v1", "kind": "Service", "metadata": metadata,
			"spec": object{"selector": labels, "ports": []object{{"port": 80, "targetPort": 80}}},
		},
	}
}

// pod is what serves the text.
func pod(run *trimtab.Run, name, tls string) object {
	image := trimtab.Text(run.Config, "image")
	if image == "" {
		image = defaultImage
	}
	volumes := []object{{"name": "page", "configMap": object{"name": name}}}
	if tls != "" {
		volumes = append(volumes, object{"name": "tls", "secret": object{"secretName": tls}})
	}
	return object{
		"containers": []object{{
			"name": "web", "image": image,
			"ports":        []object{{"containerPort": 80}},
			"volumeMounts": []object{{"name": "page", "mountPath": "/usr/share/nginx/html"}},
		}},
		"volumes": volumes,
	}
}

func scheme(tls string) string {
	if tls == "" {
		return "http"
	}
	return "https"
}

func settings(page object) any {
	if settings := trimtab.Field(page, "spec", "settings"); settings != nil {
		return settings
	}
	return json.RawMessage("{}")
}
