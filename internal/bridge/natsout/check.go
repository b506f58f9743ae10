package natsout

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// StreamQuestion is what JetStream can be asked of a stream that a route needs.
type StreamQuestion struct {
	natsconn.Question
	// What is asked: whether something is so.
	What string
	// Needed tells that the bridge needs the right to ask itself.
	Needed bool
	// Wrong says what is wrong by the answer.
	Wrong func(data []byte) error
}

// StreamQuestions are those of a route with deliver=jetstream, and what of it cannot be asked.
func StreamQuestions(s *settings.Link) (questions []StreamQuestion, unknown []string) {
	n := &s.NATS
	patterns := subjectPatterns(s)
	if len(patterns) == 0 {
		unknown = []string{"whether a stream has the subjects of the topics that will match"}
	}
	if n.Stream != "" {
		questions = append(questions, aboutStream(n.Stream, patterns))
	} else {
		for _, pattern := range patterns {
			questions = append(questions, aboutSubject(pattern))
		}
	}
	if n.AdvisoryStream != "" {
		questions = append(questions, StreamQuestion{
			Question: natsconn.Question{Subject: infoSubject(n.AdvisoryStream)},
			What:     "whether the stream " + n.AdvisoryStream + " keeps what NATS tells of " + n.Stream,
			Needed:   true,
			Wrong: func(data []byte) error {
				var info streamInfo
				if err := json.Unmarshal(data, &info); err != nil {
					return unread(n.AdvisoryStream, err)
				}
				return keepsAdvisories(n, &info)
			},
		})
	}
	return questions, unknown
}

// aboutStream asks whether a stream is there and stores what is published on the patterns.
func aboutStream(stream string, patterns []string) StreamQuestion {
	return StreamQuestion{
		Question: natsconn.Question{Subject: infoSubject(stream)},
		What:     "whether there is the stream " + stream + ", and it has the subjects of the route",
		Wrong: func(data []byte) error {
			var info streamInfo
			err := json.Unmarshal(data, &info)
			if err == nil && info.Error != nil {
				err = errors.New(info.Error.Description)
			}
			if err != nil {
				return unread(stream, err)
			}
			if missing := slices.DeleteFunc(slices.Clone(patterns), info.has); len(missing) > 0 {
				return fmt.Errorf("the stream %s does not have the subject %s: add it, or mend nats_subject or nats_stream", stream, strings.Join(missing, ", nor "))
			}
			return nil
		},
	}
}

// aboutSubject asks whether any stream stores what is published on a pattern.
func aboutSubject(pattern string) StreamQuestion {
	body, err := json.Marshal(map[string]string{"subject": pattern})
	if err != nil {
		panic(err) // a text can be written
	}
	return StreamQuestion{
		Question: natsconn.Question{Subject: "$JS.API.STREAM.NAMES", Body: body},
		What:     "whether a stream has the subject " + pattern,
		Wrong: func(data []byte) error {
			var names struct {
				Error   *apiError `json:"error"`
				Streams []string  `json:"streams"`
			}
			err := json.Unmarshal(data, &names)
			if err == nil && names.Error != nil {
				err = errors.New(names.Error.Description)
			}
			if err != nil {
				return fmt.Errorf("asking which stream has the subject %s: %w", pattern, err)
			}
			if len(names.Streams) == 0 {
				return fmt.Errorf("no stream of JetStream has the subject %s: make one, or add the subject to one", pattern)
			}
			return nil
		},
	}
}

// subjectPatterns are the subjects that records of a route go to, with a wildcard for each token that records have a
// part in. Of topics that are a pattern nobody knows: then there are none, unless all records have one subject.
func subjectPatterns(s *settings.Link) []string {
	template, topics := s.NATS.Subject, s.Consumer.Topics
	if !strings.Contains(template, settings.NATSTopic) {
		topics = []string{""}
	}
	var patterns []string
	for _, topic := range topics {
		// A topic may have dots, and no brace.
		tokens := strings.Split(strings.ReplaceAll(template, settings.NATSTopic, topicToken(topic)), ".")
		for i, token := range tokens {
			if strings.Contains(token, "{") {
				tokens[i] = "*"
			}
		}
		patterns = append(patterns, strings.Join(tokens, "."))
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}
