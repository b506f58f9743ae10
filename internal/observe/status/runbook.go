package status

// runbook names for each kind of problem the section of docs/operations.md that says what to do, as GitHub anchors it.
var runbook = map[ProblemKind]string{
	ProblemStarting:    "the-link-only-ever-says-starting-or-joining-group-",
	ProblemRefused:     "the-settings-are-wrong",
	ProblemKafka:       "kafka-cannot-be-reached",
	ProblemTopic:       "a-topic-is-missing",
	ProblemGroup:       "the-group-does-not-come-to-rest",
	ProblemPartition:   "one-partition-cannot-be-read",
	ProblemHeld:        "one-partition-stands-still-the-others-go-on",
	ProblemMemory:      "memory-and-cpu",
	ProblemCommit:      "records-come-twice",
	ProblemCredentials: "the-application-refuses-the-routes-credentials-or-has-moved",
	ProblemProxy:       "the-application-refuses-the-routes-credentials-or-has-moved",
	ProblemRedirect:    "the-application-refuses-the-routes-credentials-or-has-moved",
	ProblemSchemas:     "the-schema-registry-cannot-be-asked",
	ProblemUnavailable: "no-component-takes-calls",
	ProblemFailing:     "the-component-fails",
	ProblemOutputs:     "publishing-fails",
	ProblemDeadLetters: "dead-letters-cannot-be-written",
	ProblemRetryTopics: "dead-letters-cannot-be-written",
	ProblemPublish:     "publishing-fails",
	ProblemReplies:     "publishing-fails",
	ProblemNATS:        "the-nats-of-a-bridges-routes",
	ProblemConfig:      "the-settings-are-wrong",
	ProblemCalls:       "publishing-fails",
}

// ofState are the sections about states of which no problem says more.
var ofState = map[State]string{
	Unhealthy: "a-link-is-not-healthy",
	Failing:   "the-component-fails",
	Starting:  "the-link-only-ever-says-starting-or-joining-group-",
	Stopping:  "drain-and-restart-a-copy",
	Paused:    "pause-a-link",
}

// firstMinutes is the section for what has no section of its own.
const firstMinutes = "the-first-five-minutes"

// Runbook is the section of docs/operations.md that says what to do about problems of the kind.
func (k ProblemKind) Runbook() string {
	if section := runbook[k]; section != "" {
		return section
	}
	return firstMinutes
}

// RunbookPage is where the runbook of the program's version can be read.
func RunbookPage(version string) string {
	at := "main"
	if version != "" && version[0] >= '0' && version[0] <= '9' {
		at = "v" + version
	}
	return "https://github.com/messaging-kafka/messaging-kafka/blob/" + at + "/docs/operations.md"
}

// Runbook is the section about a state of which no problem says more; "" for one that is well.
func (s State) Runbook() string { return ofState[s] }

// Sections are the sections of docs/operations.md to which a status leads.
type Sections struct {
	Problems map[ProblemKind]string `json:"problems"`
	States   map[State]string       `json:"states"`
	// Other is for problems of kinds that are not known.
	Other string `json:"other"`
	// Failures, DeadLetters and Lag are about what happens to a link that is healthy.
	Failures    string `json:"failures"`
	DeadLetters string `json:"dead_letters"`
	Lag         string `json:"lag"`
}

// Runbook are all sections.
func Runbook() Sections {
	return Sections{
		Problems: runbook, States: ofState, Other: firstMinutes,
		Failures: "the-component-fails", DeadLetters: "dead-letters-arrive", Lag: "lag-grows",
	}
}
