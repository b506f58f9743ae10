// Package control is how an operator acts on the links of running copies: the JSON of what is asked and answered, over
// HTTP (POST /control of the admin address) and over the lattice (the provider's subject control).
//
// A [Request] has an [Action] for a link; [Parse] reads one and says what is wrong with it. An [Answer] says what one
// copy made of it, with a [Code] for programs. Whoever acts on several copies asks each by its instance id. A [Target]
// says where a seek goes, and a [Move] what that is for one partition: the copies are held (Hold) while one of them
// sets the offsets of their group, and go on then (Release). A [View] says which records are looked at, and [Shown] is
// one of them.
//
// Texts and sizes are bounded, and fields that are not known are refused: who asks for something must not get something
// else. The package carries nothing out, process does, by what engine/route offers; it starts no goroutine.
package control
