package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goroutine is one place in the code that starts a goroutine: a go statement, a function that is handed to the Go of a
// WaitGroup or the like, or one that is handed to AfterFunc, of time or of context, to run later.
type goroutine struct {
	later bool
	// names are the functions that it may be known by: the one that it runs, where that is a function of its package,
	// else the one that starts it. There are several where methods of several types have the name.
	names []string
	// anonymous: it is known by who starts it.
	anonymous bool
	at        token.Position
}

// source is what the tables of DESIGN.md speak of: the code below internal that is part of the program.
type source struct {
	set        *token.FileSet
	functions  map[string]bool
	goroutines []goroutine
	locks      map[string]token.Position
}

// readSource reads the code. Everything in it has the names that the tables use: package.function, package.Type.method,
// package.Type.field, without the folders that the package is in.
func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{set: token.NewFileSet(), functions: map[string]bool{}, locks: map[string]token.Position{}}
	files := map[string][]*ast.File{} // by folder
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// The helpers of tests have goroutines and locks of their own, which are nobody's risk.
			if slices.Contains([]string{"testdata", "testkit", "archtest"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(s.set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files[filepath.Dir(path)] = append(files[filepath.Dir(path)], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{}
	for folder, parsed := range files {
		pkg := parsed[0].Name.Name
		if other, taken := folders[pkg]; taken {
			t.Errorf("%s and %s are both package %s: the tables cannot tell them apart", folder, other, pkg)
		}
		folders[pkg] = folder
		s.add(pkg, parsed)
	}
	return s
}

func (s *source) add(pkg string, files []*ast.File) {
	byName := map[string][]string{} // functions and methods of the package
	for _, file := range files {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				name := functionName(pkg, f)
				s.functions[name] = true
				byName[f.Name.Name] = append(byName[f.Name.Name], name)
			}
		}
	}
	for _, file := range files {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := functionName(pkg, d)
				s.addGoroutines(name, d, byName)
				s.addLocks(name, d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						s.addLocks(pkg+"."+spec.Name.Name, spec.Type)
					case *ast.ValueSpec:
						s.addGoroutines(pkg+"."+spec.Names[0].Name, spec, byName)
						s.addLocks(pkg, spec)
					}
				}
			}
		}
	}
}

func functionName(pkg string, f *ast.FuncDecl) string {
	if f.Recv == nil {
		return pkg + "." + f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	switch generic := receiver.(type) {
	case *ast.IndexExpr:
		receiver = generic.X
	case *ast.IndexListExpr:
		receiver = generic.X
	}
	return pkg + "." + receiver.(*ast.Ident).Name + "." + f.Name.Name
}

func (s *source) addGoroutines(starter string, in ast.Node, byName map[string][]string) {
	// A method of the starter's own receiver is that of its type; of others only the name is known here.
	known := func(e ast.Expr) []string {
		names := byName[bareName(e)]
		selector, ok := e.(*ast.SelectorExpr)
		if f, method := in.(*ast.FuncDecl); ok && method && f.Recv != nil && len(f.Recv.List[0].Names) > 0 {
			own := starter[:strings.LastIndex(starter, ".")+1] + selector.Sel.Name
			if of, ok := selector.X.(*ast.Ident); ok && of.Name == f.Recv.List[0].Names[0].Name && slices.Contains(names, own) {
				return []string{own}
			}
		}
		return names
	}
	add := func(at token.Pos, run ast.Expr, later bool) {
		if literal, ok := run.(*ast.FuncLit); ok {
			run = onlyCall(literal)
		}
		g := goroutine{later: later, names: known(run), at: s.set.Position(at)}
		if len(g.names) > 0 {
			s.goroutines = append(s.goroutines, g)
			return
		}
		if _, ok := run.(*ast.Ident); ok { // a variable: it is each of the functions that its starter has values of
			values := functionValues(in, known)
			for _, names := range values {
				s.goroutines = append(s.goroutines, goroutine{later: later, names: names, at: g.at})
			}
			if len(values) > 0 {
				return
			}
		}
		g.names, g.anonymous = []string{starter}, true
		s.goroutines = append(s.goroutines, g)
	}
	ast.Inspect(in, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n.Pos(), n.Call.Fun, false)
		case *ast.CallExpr:
			called, ok := n.Fun.(*ast.SelectorExpr)
			switch {
			case ok && called.Sel.Name == "Go" && len(n.Args) == 1:
				add(n.Pos(), n.Args[0], false)
			case ok && called.Sel.Name == "AfterFunc" && len(n.Args) == 2:
				add(n.Pos(), n.Args[1], true)
			}
		}
		return true
	})
}

// functionValues are the methods that are mentioned and not called.
func functionValues(in ast.Node, known func(ast.Expr) []string) (values [][]string) {
	called := map[ast.Expr]bool{}
	ast.Inspect(in, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			called[call.Fun] = true
		}
		if selector, ok := n.(*ast.SelectorExpr); ok && !called[selector] {
			if names := known(selector); len(names) > 0 {
				values = append(values, names)
			}
		}
		return true
	})
	return values
}

// onlyCall is the function that a literal calls, where it does nothing else.
func onlyCall(literal *ast.FuncLit) ast.Expr {
	if len(literal.Body.List) == 1 {
		if statement, ok := literal.Body.List[0].(*ast.ExprStmt); ok {
			if call, ok := statement.X.(*ast.CallExpr); ok {
				return call.Fun
			}
		}
	}
	return nil
}

func bareName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// addLocks finds fields and variables whose type is a lock, or holds some: a slice or a map of locks, say.
func (s *source) addLocks(owner string, in ast.Node) {
	add := func(names []*ast.Ident, typ ast.Expr) {
		kind := lockIn(typ)
		if kind == "" {
			return
		}
		if len(names) == 0 { // embedded: the field has the name of its type
			s.locks[owner+"."+kind] = s.set.Position(typ.Pos())
		}
		for _, name := range names {
			s.locks[owner+"."+name.Name] = s.set.Position(name.Pos())
		}
	}
	ast.Inspect(in, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			add(n.Names, n.Type)
		case *ast.ValueSpec:
			add(n.Names, n.Type)
			for _, value := range n.Values {
				if literal, ok := value.(*ast.CompositeLit); ok {
					add(n.Names, literal.Type)
				}
			}
		case *ast.AssignStmt:
			for i, value := range n.Rhs {
				literal, ok := value.(*ast.CompositeLit)
				if name, named := n.Lhs[min(i, len(n.Lhs)-1)].(*ast.Ident); ok && named {
					add([]*ast.Ident{name}, literal.Type)
				}
			}
		}
		return true
	})
}

// lockIn is the name of the type of lock that a type is, points to or holds many of; "" where it is no lock.
func lockIn(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return lockIn(e.X)
	case *ast.ArrayType:
		return lockIn(e.Elt)
	case *ast.MapType:
		return lockIn(e.Value)
	case *ast.SelectorExpr:
		if pkg, ok := e.X.(*ast.Ident); ok {
			switch pkg.Name + "." + e.Sel.Name {
			case "sync.Mutex", "sync.RWMutex", "turn.Turn":
				return e.Sel.Name
			}
		}
	}
	return ""
}

var (
	section  = regexp.MustCompile(`(?m)^##+ (.*)$`)
	tableRow = regexp.MustCompile(`(?m)^\| ([^|]*) \|.*\|$`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
)

// design is the text below a heading of DESIGN.md, up to the next one.
func design(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := section.FindAllSubmatchIndex(text, -1)
	for i, at := range headings {
		if string(text[at[2]:at[3]]) != heading {
			continue
		}
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		return string(text[at[1]:end])
	}
	t.Fatalf("DESIGN.md has no heading %q", heading)
	return ""
}

// firstColumn counts what stands as code in the first column of the tables in a text.
func firstColumn(t *testing.T, text string) map[string]int {
	t.Helper()
	names := map[string]int{}
	for _, row := range tableRow.FindAllStringSubmatch(text, -1) {
		for _, span := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			names[span[1]]++
		}
	}
	if len(names) == 0 {
		t.Fatal("the table is not there, or has another form")
	}
	return names
}

func TestGoroutinesAreThoseOfTheTable(t *testing.T) {
	compareGoroutines(t, "Goroutines", false)
}

func TestTimersAreThoseOfTheTable(t *testing.T) {
	compareGoroutines(t, "Timers", true)
}

func compareGoroutines(t *testing.T, heading string, later bool) {
	t.Helper()
	s := readSource(t)
	table := firstColumn(t, design(t, heading))
	started := map[string]int{}
	anonymous := map[string]int{}
	for _, g := range s.goroutines {
		if g.later != later {
			continue
		}
		for _, name := range g.names {
			started[name]++
			if g.anonymous {
				anonymous[name]++
			}
		}
		if !slices.ContainsFunc(g.names, func(name string) bool { return table[name] > 0 }) {
			t.Errorf("%s: %s is not in the table %q of DESIGN.md", g.at, strings.Join(g.names, " or "), heading)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		switch {
		case started[name] == 0:
			t.Errorf("the table %q of DESIGN.md names %s, which nothing starts", heading, name)
		case anonymous[name] > table[name]:
			t.Errorf("%s starts %d function literals, and the table %q of DESIGN.md names it %d times",
				name, anonymous[name], heading, table[name])
		}
	}
}

// Callbacks of the clients of Kafka and NATS run in goroutines of theirs.
func TestCallbacksOfTheTableExist(t *testing.T) {
	s := readSource(t)
	for name := range firstColumn(t, design(t, "Callbacks")) {
		if !s.functions[name] {
			t.Errorf("the table of callbacks in DESIGN.md names %s, and there is no such function", name)
		}
	}
}

func TestLocksAreThoseOfTheTable(t *testing.T) {
	s := readSource(t)
	table := firstColumn(t, design(t, "Locks"))
	for name, at := range s.locks {
		if table[name] == 0 {
			t.Errorf("%s: the lock %s is not in the table of DESIGN.md", at, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if _, exists := s.locks[name]; !exists {
			t.Errorf("the table of locks in DESIGN.md names %s, and there is no such lock", name)
		}
	}
}

// Files are named by their package and name, as in dispatch/judge.go, or as a pattern.
func TestFilesThatTheDesignNamesExist(t *testing.T) {
	text, err := os.ReadFile("../../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[filepath.Base(filepath.Dir(path))+"/"+entry.Name()] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, span := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		parts := strings.Split(span[1], "/")
		if !strings.HasSuffix(span[1], ".go") || len(parts) < 2 || parts[0] == "docs" {
			continue
		}
		named++
		pattern := strings.Join(parts[len(parts)-2:], "/")
		found := slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(file string) bool {
			matches, err := filepath.Match(pattern, file)
			return err == nil && matches
		})
		if !found {
			t.Errorf("DESIGN.md names %s, and there is no such file", span[1])
		}
	}
	if named < 40 {
		t.Errorf("DESIGN.md names only %d files", named)
	}
}

// A newcomer follows a record by these steps, so they are few and each has its file.
func TestWaysAreShortAndNameTheirFiles(t *testing.T) {
	for heading, most := range map[string]int{"The way of one record in": 15, "The way of one publish out": 10} {
		steps := regexp.MustCompile(`(?m)^\d+\. `).Split(design(t, heading), -1)[1:]
		if len(steps) < 5 || len(steps) > most {
			t.Errorf("%q has %d steps; 5 to %d can be followed", heading, len(steps), most)
		}
		for i, step := range steps {
			if !strings.Contains(step, ".go`") {
				t.Errorf("step %d of %q names no file", i+1, heading)
			}
		}
	}
}
