package main

import (
	"os"

	"github.com/messaging-kafka/messaging-kafka/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
