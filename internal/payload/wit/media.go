package wit

// The media types of bodies over HTTP; the version is a part of the name.
const (
	// RecordsType has values of messaging-kafka:records@0.1.0, RecordsTypeJSON the same as JSON.
	RecordsType     = "application/vnd.messaging-kafka.records.v1"
	RecordsTypeJSON = RecordsType + "+json"
	// MessagesType has values of wasmcloud:messaging@0.2.0, MessagesTypeJSON the same as JSON.
	MessagesType     = "application/vnd.messaging-kafka.messages.v1"
	MessagesTypeJSON = MessagesType + "+json"
)
