package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows how far a command is that works on several things one after another: a bar for each on a terminal,
// else a line when one is done. It is for one goroutine.
type progress struct {
	out  io.Writer
	bars *mpb.Progress // nil where out is no terminal
	open map[string]*mpb.Bar
}

// newProgress shows on out, which should not be where the command's results go.
func newProgress(out io.Writer) *progress {
	p := &progress{out: out, open: make(map[string]*mpb.Bar)}
	if file, ok := out.(*os.File); ok && isTerminal(file) {
		p.bars = mpb.New(mpb.WithOutput(file), mpb.WithWidth(barWidth))
	}
	return p
}

// barWidth leaves room for the name and the numbers in a terminal of 80 columns.
const barWidth = 36

// announce shows that a thing of total bytes is to come.
func (p *progress) announce(name string, total int64) {
	if p.bars == nil || p.open[name] != nil {
		return
	}
	p.open[name] = p.bars.AddBar(total,
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Counters(decor.SizeB1000(0), "  % .1f / % .1f")),
	)
}

// reached shows that done bytes of an announced thing have been worked on. What was done with them when they are
// all is told by did.
func (p *progress) reached(name, did string, done, total int64) {
	if bar := p.open[name]; bar != nil {
		bar.SetCurrent(done)
		return
	}
	if done == total {
		fmt.Fprintf(p.out, "%s %s, %s\n", did, name, megabytes(total))
	}
}

// close leaves the bars as they are. What follows comes below them.
func (p *progress) close() {
	if p.bars == nil {
		return
	}
	for _, bar := range p.open {
		bar.Abort(false) // has no effect on one that is full
	}
	p.bars.Wait()
}
