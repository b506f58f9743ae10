package status

import "testing"

func TestProblems(t *testing.T) {
	t.Parallel()
	var ps Problems
	if ps.State() != Healthy || ps.String() != "" {
		t.Errorf("no problem is %s, %q", ps.State(), ps)
	}
	ps.Add(ProblemStarting, "joining group g")
	if ps.State() != Starting {
		t.Errorf("%q is %s", ps, ps.State())
	}
	ps.Add(ProblemTopic, "topic t: it does not exist")
	ps.Add(ProblemKafka, "topic t: it does not exist")
	if ps.State() != Unhealthy || ps.String() != "joining group g; topic t: it does not exist" {
		t.Errorf("%q is %s", ps, ps.State())
	}
	if !ps.Has(ProblemTopic) || ps.Has(ProblemKafka) {
		t.Errorf("kinds are %v", ps)
	}
}
