package check

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkCluster asks who is there and whether each broker can be reached where it says that it is.
func (r *run) checkCluster(ctx context.Context) bool {
	resp, err := ask[*kmsg.MetadataResponse](ctx, r.client, noTopics())
	if err != nil {
		r.add(r.failed(StepCluster, "", err))
		return false
	}
	slices.SortFunc(resp.Brokers, func(a, b kmsg.MetadataResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
	names := make([]string, len(resp.Brokers))
	for i, b := range resp.Brokers {
		names[i] = brokerName(b)
	}
	id := "that tells no id"
	if resp.ClusterID != nil {
		id = *resp.ClusterID
	}
	r.add(Finding{StepCluster, "", OK, "", fmt.Sprintf("cluster %s with brokers %s", id, strings.Join(names, ", "))})
	r.checkListeners(ctx, resp.Brokers)
	r.askClusterRights(ctx)
	return true
}

func brokerName(b kmsg.MetadataResponseBroker) string {
	name := fmt.Sprintf("%d at %s", b.NodeID, net.JoinHostPort(b.Host, fmt.Sprint(b.Port)))
	if b.Rack != nil && *b.Rack != "" {
		name += " in rack " + *b.Rack
	}
	return name
}

// checkListeners connects to each broker as clients do who read and write: by the address that it advertises.
func (r *run) checkListeners(ctx context.Context, brokers []kmsg.MetadataResponseBroker) {
	findings := make([]Finding, len(brokers))
	var trying sync.WaitGroup
	for i, b := range brokers {
		trying.Go(func() {
			target := "broker " + brokerName(b)
			if _, err := ask[*kmsg.ApiVersionsResponse](ctx, r.client.Broker(int(b.NodeID)), versionsRequest()); err != nil {
				findings[i] = r.failed(StepListener, target, err)
				return
			}
			findings[i] = Finding{StepListener, target, OK, "", "reached at the address that it advertises"}
		})
	}
	trying.Wait()
	r.add(findings...)
}

// askClusterRights leaves the rights unknown where the broker does not tell them: before Kafka 2.8, and to a user
// who may not describe the cluster, to whom it shows none at all.
func (r *run) askClusterRights(ctx context.Context) {
	if !r.versions.HasKey(int16(kmsg.DescribeCluster)) {
		return
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeClusterAuthorizedOperations = true
	resp, err := ask[*kmsg.DescribeClusterResponse](ctx, r.client, req)
	if err != nil || kerr.ErrorForCode(resp.ErrorCode) != nil || resp.ClusterAuthorizedOperations == 0 {
		return
	}
	r.cluster = rights(resp.ClusterAuthorizedOperations)
}
