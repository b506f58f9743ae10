package telemetry

import (
	"fmt"
	"strings"
)

const docsHead = `# Metrics

<!-- Generated from the declarations in internal/observe/telemetry. To renew it: go test ./internal/observe/telemetry -run Docs -update -->

The provider serves its metrics for Prometheus at ` + "`/metrics`" + ` of its ` + "`admin_address`" + ` (see [settings](settings.md)). There is a
dashboard for Grafana and a file of alert rules in [deploy/observability](../deploy/observability); what to do about an alert
stands in [operations](operations.md).

**Names.** All names begin with ` + "`" + namespace + `_` + "`" + `, which the tables leave out. Durations are in seconds, sizes in bytes. A histogram
has the usual three: ` + "`_bucket`, `_sum` and `_count`" + `.

**Labels.** ` + "`component` and `link`" + ` name the link: the component's id and the link's name. Two links of a component with the same
name, one in each direction, count together; ` + "`link_healthy` and `link_state`" + ` tell them apart by ` + "`package` and `direction`" + `. Series
of a link go when the link is deleted. Nothing else makes series: no metric has a label whose values a component or a
record can choose.

**How many.** A link has about 70 series, half of them buckets of histograms, some 20 more if it makes requests, takes batches or has
transactions (for each), and 3 for each partition that this copy has.

**When.** Counters count as things happen. Gauges are asked for at the scrape, so they cost nothing in between and are never
old; only the end of a partition of which nothing is fetched is asked of Kafka every 10 seconds.

**Copies.** Each copy of the provider tells of what it does itself. Lag is told by the copy that has the partition: add up over
copies for the lag of a group. In a share group no copy has a partition to itself, so there is no lag here: ask Kafka
(` + "`kafka-share-groups.sh --describe`" + `).

Go's own metrics (` + "`go_…`) and those of the process (`process_…`" + `) are there as well.
`

// Markdown returns the reference of all metrics, as docs/metrics.md holds it.
func Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	section := ""
	for _, d := range declared {
		if d.section != section {
			section = d.section
			fmt.Fprintf(&b, "\n## %s\n\n| Metric | Type | Labels | What it says | A bad value |\n|---|---|---|---|---|\n", section)
		}
		labels := "none"
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "`, `") + "`"
		}
		bad := d.bad
		if bad == "" {
			bad = "None by itself."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.name, d.kind, labels, cell(d.help), cell(bad))
	}
	return b.String()
}

// cell keeps a text within its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
