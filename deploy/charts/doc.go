// Package charts holds the Helm chart of the bridge, and the test that it says what it is meant to. It is a module of its
// own for what the test needs: Helm and the types of Kubernetes and KEDA.
package charts
