package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Bounds of an expression and of its evaluation.
const (
	// MaxLength is how long an expression may be, in bytes.
	MaxLength = 4 << 10
	// MaxCost is what an evaluation may cost, in CEL's units. It is reached within about a tenth of a second.
	MaxCost = 1_000_000
	// maxDepth is how deep an expression may be nested.
	maxDepth = 64
	// maxRegex bounds the program of a regular expression, which may come from a record.
	maxRegex = 10_000
	// maxElements bounds the lists and texts that an evaluation makes, in elements, and each begun textUnit of a text.
	maxElements = 20_000
	textUnit    = 1 << 10
	// sizedEach is after how many steps of a loop what it makes is sized again, which takes time by the size.
	sizedEach = 100
)

// Names of what an expression may ask of a record.
const (
	nameKey       = "key"
	nameHeaders   = "headers"
	nameValue     = "value"
	nameTopic     = "topic"
	namePartition = "partition"
	nameOffset    = "offset"
	nameTimestamp = "timestamp"
	nameSize      = "size"
)

var names = []string{nameKey, nameHeaders, nameValue, nameTopic, namePartition, nameOffset, nameTimestamp, nameSize}

// env is what all expressions are checked in. It takes milliseconds to make, and most processes have no filter.
var env = sync.OnceValue(func() *cel.Env {
	e, err := cel.NewEnv(
		cel.Variable(nameKey, cel.DynType),
		cel.Variable(nameHeaders, cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable(nameValue, cel.DynType),
		cel.Variable(nameTopic, cel.StringType),
		cel.Variable(namePartition, cel.IntType),
		cel.Variable(nameOffset, cel.IntType),
		cel.Variable(nameTimestamp, cel.TimestampType),
		cel.Variable(nameSize, cel.IntType),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(MaxLength),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNestingDepthLimit(maxDepth),
		cel.RegexProgramSizeLimit(maxRegex),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	)
	if err != nil {
		panic(fmt.Sprintf("declaring what a filter may ask of a record: %v", err))
	}
	return e
})

// Filter is an expression that was checked. It may be used by many goroutines at once.
type Filter struct {
	program cel.Program
	places  *ast.SourceInfo
	value   bool
}

// Error says what is wrong with an expression, and where.
type Error struct {
	// Line and Column are those of the mistake, from 1 on, in characters; 0 where it has no place.
	Line, Column int
	// Problem is what is wrong. Of an expression that was refused it holds parts.
	Problem string
}

// Error implements error.
func (e *Error) Error() string {
	if place := e.Place(); place != "" {
		return place + ": " + e.Problem
	}
	return e.Problem
}

// Place says where the mistake is, without anything of the expression; "" where it has no place.
func (e *Error) Place() string {
	if e.Line == 0 {
		return ""
	}
	return fmt.Sprintf("line %d, column %d", e.Line, e.Column)
}

// Compile checks an expression. Its error is a [Error].
func Compile(text string) (*Filter, error) {
	checked, issues := env().Compile(text)
	if err := issues.Err(); err != nil {
		return nil, syntaxError(issues.Errors(), err)
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, &Error{Line: 1, Column: 1, Problem: fmt.Sprintf("the expression gives %s, and a filter says true or false", article(out))}
	}
	sizes := types.NewSizeCalculator(types.SizeCalculatorStringUnitLength(textUnit))
	program, err := env().Program(checked, cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(MaxCost), cel.MemoryLimit(maxElements), cel.MemoryTracking(
			types.MemoryTrackerSampleInterval(sizedEach), types.MemoryTrackerSizeCalculator(sizes)))
	if err != nil {
		return nil, &Error{Problem: err.Error()}
	}
	return &Filter{program: program, places: checked.NativeRep().SourceInfo(), value: asks(checked, nameValue)}, nil
}

// article names a type of CEL in a sentence.
func article(t *cel.Type) string {
	name := t.String()
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// asks tells whether an expression has a name in it.
func asks(checked *cel.Ast, name string) bool {
	found := ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.IdentKind && e.AsIdent() == name
	})
	return len(found) > 0
}

// syntaxError is the first thing that CEL has found.
func syntaxError(found []*common.Error, whole error) *Error {
	if len(found) == 0 {
		return &Error{Problem: oneLine(whole.Error())}
	}
	first := slices.MinFunc(found, func(a, b *common.Error) int {
		if a.Location.Line() != b.Location.Line() {
			return a.Location.Line() - b.Location.Line()
		}
		return a.Location.Column() - b.Location.Column()
	})
	e := at(first.Location, plain.Replace(oneLine(first.Message)))
	e.Problem, _, _ = strings.Cut(e.Problem, " expecting {") // all that may stand there
	if strings.HasPrefix(e.Problem, "undeclared reference") && !strings.Contains(e.Problem, "did you mean") {
		last := len(names) - 1
		e.Problem += "; a record has " + strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return e
}

// plain makes CEL's words such as people know.
var plain = strings.NewReplacer(" (in container '')", "", "Syntax error: ", "", "'<EOF>'", "the end of the expression",
	"expression code point size exceeds limit: size", "the expression is too long",
	"expression recursion limit exceeded", "it is nested too deep")

// at is an error at a place of the expression.
func at(place common.Location, problem string) *Error {
	e := &Error{Problem: problem}
	if place.Line() > 0 {
		e.Line, e.Column = place.Line(), max(place.Column(), 0)+1
	}
	return e
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// AsksValue tells whether the expression looks into values.
func (f *Filter) AsksValue() bool { return f.value }

// Match tells whether a record is to be handed over. An [Error] says that the expression has no answer for the record,
// and holds nothing of it.
func (f *Filter) Match(r *record.Record) (bool, error) {
	out, _, err := f.program.Eval(&activation{record: r})
	if err != nil {
		return false, f.failed(err)
	}
	match, is := out.(types.Bool)
	if !is {
		return false, &Error{Line: 1, Column: 1, Problem: fmt.Sprintf("the expression gives a value of the type %s, and neither true nor false", out.Type().TypeName())}
	}
	return bool(match), nil
}

// told are the beginnings of errors that hold nothing of a record, those that end with a colon up to there.
var told = []string{
	"no such key:", "no such attribute", "index out of bounds:", "no such overload", "type conversion error from",
	"division by zero", "modulus by zero", "integer overflow", "unsigned integer overflow",
	errScanned.Error(), errNotJSON.Error(), errNumber.Error(), errElements.Error(),
}

// failed says why an evaluation failed without words of the record, which the log must not have.
func (f *Filter) failed(err error) *Error {
	if cancelled, is := errors.AsType[interpreter.EvalCancelledError](err); is {
		if cancelled.Cause == interpreter.MemoryLimitExceeded {
			return &Error{Problem: "the evaluation makes lists or texts that are too large"}
		}
		return &Error{Problem: fmt.Sprintf("the evaluation costs more than %d", MaxCost)}
	}
	e := &Error{Problem: "it cannot be evaluated for this record"}
	if raised, is := errors.AsType[*types.Err](err); is {
		e = at(f.places.GetStartLocation(raised.NodeID()), e.Problem)
	}
	for _, begin := range told {
		if text := oneLine(err.Error()); strings.HasPrefix(text, begin) {
			if e.Problem = text; strings.HasSuffix(begin, ":") {
				e.Problem = strings.TrimSuffix(begin, ":")
			}
			break
		}
	}
	return e
}

// activation gives an expression what it asks of a record, made when it is first asked for.
type activation struct {
	record  *record.Record
	headers ref.Val
	value   ref.Val
}

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	r := a.record
	switch name {
	case nameKey:
		return textOrBytes(r.Key), true
	case nameHeaders:
		if a.headers == nil {
			a.headers = headers(r)
		}
		return a.headers, true
	case nameValue:
		if a.value == nil {
			a.value = document(r.Value)
		}
		return a.value, true
	case nameTopic:
		return types.String(r.Topic), true
	case namePartition:
		return types.Int(r.Partition), true
	case nameOffset:
		return types.Int(r.Offset), true
	case nameTimestamp:
		return types.Timestamp{Time: r.Timestamp.In(time.UTC)}, true
	case nameSize:
		return types.Int(r.Stored().Size()), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (*activation) Parent() cel.Activation { return nil }

// textOrBytes is what a key or header is to an expression.
func textOrBytes(b []byte) ref.Val {
	switch {
	case b == nil:
		return types.NullValue
	case utf8.Valid(b):
		return types.String(b)
	default:
		return types.Bytes(b)
	}
}

// headers are those of a record. The last one of a name counts, as in [record.Record.Header].
func headers(r *record.Record) ref.Val {
	m := make(map[string]ref.Val, len(r.Headers))
	for _, h := range r.Headers {
		m[h.Key] = textOrBytes(h.Value)
	}
	return types.NewMap(types.DefaultTypeAdapter, m)
}
