package overview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// actTimeout is how long an answer is waited for to who acts on a link: a copy takes 25 s at most.
const actTimeout = 28 * time.Second

// errNoAnswer says that something else than an answer came.
var errNoAnswer = errors.New("something else than messaging-kafka answers, or a version that lets nobody act on links")

func decodeAct(data []byte) (control.Answer, error) {
	var answer control.Answer
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	if !answer.OK && answer.Error == "" {
		return answer, errNoAnswer
	}
	return answer, nil
}

// Act implements Asker.
func (a *byAddress) Act(ctx context.Context, on *status.Provider, request control.Request) (control.Answer, error) {
	i, known := a.asked[on.InstanceID]
	if !known {
		return control.Answer{}, fmt.Errorf("the address of the copy %s is not known", on.InstanceID)
	}
	u, err := url.Parse(a.urls[i])
	if err != nil {
		// The error's own text repeats it, in which there may be a password.
		return control.Answer{}, errors.New("its address is no URL")
	}
	u.Path, u.RawQuery = strings.TrimSuffix(u.Path, "/links")+"/control", ""
	request.Instance = on.InstanceID
	body, err := json.Marshal(request)
	if err != nil {
		return control.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return control.Answer{}, err
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Authorization", "Bearer "+a.token)
	// The client's own time is that of a question for the status. A redirect would take the token along.
	client := &http.Client{
		Transport:     a.client.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(post)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return control.Answer{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return control.Answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode == http.StatusMethodNotAllowed {
		return control.Answer{}, errors.New("nobody may act on links there: set provider_control_tokens")
	}
	answer, err := decodeAct(data)
	if err != nil {
		return answer, fmt.Errorf("it answers %s: %w", response.Status, err)
	}
	return answer, nil
}

// Act implements Asker.
func (n *byNATS) Act(
	ctx context.Context, on *status.Provider, request control.Request,
) (answer control.Answer, err error) {
	request.Instance = on.InstanceID // all copies hear it, and the others say nothing
	body, err := json.Marshal(request)
	if err != nil {
		return control.Answer{}, err
	}
	bad := errNoAnswer
	subject := "wasmbus.rpc." + n.opts.Lattice + "." + on.ProviderKey + ".control"
	err = n.gather(ctx, subject, body, actTimeout, 1, func(data []byte) {
		answer, bad = decodeAct(data)
	})
	if errors.Is(err, nats.ErrNoResponders) {
		return answer, errors.New("nobody may act on links of this provider over the lattice: set provider_control_lattice=true in its config")
	}
	if err == nil {
		err = bad
	}
	return answer, err
}
