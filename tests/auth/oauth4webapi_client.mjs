// A desktop client by oauth4webapi, knowing nothing but the issuer and its client id. A line of JSON a step.
import * as oauth from 'oauth4webapi'

const [issuerUrl, clientId] = process.argv.slice(2)
const say = (line) => console.log(JSON.stringify(line))
const options = { [oauth.allowInsecureRequests]: true }

const issuer = new URL(issuerUrl)
const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options })
const server = await oauth.processDiscoveryResponse(issuer, discovered)
const client = { client_id: clientId }

const authorization = await oauth.deviceAuthorizationRequest(server, client, oauth.None(), new URLSearchParams(), options)
const device = await oauth.processDeviceAuthorizationResponse(server, client, authorization)
say(device)

let tokens
while (!tokens) {
  await new Promise((resolve) => setTimeout(resolve, device.interval * 1000))
  const polled = await oauth.deviceCodeGrantRequest(server, client, oauth.None(), device.device_code, options)
  try {
    tokens = await oauth.processDeviceCodeResponse(server, client, polled)
  } catch (error) {
    if (!(error instanceof oauth.ResponseBodyError) || error.error !== 'authorization_pending') throw error
  }
}

const me = async (token) => (await fetch(`${issuerUrl}/v1/me`, { headers: { Authorization: `Bearer ${token}` } })).status
const claims = await oauth.validateJwtAccessToken(
  server,
  new Request(`${issuerUrl}/v1/me`, { headers: { Authorization: `Bearer ${tokens.access_token}` } }),
  `${issuerUrl}/v1`,
  options,
)
say({ granted: await me(tokens.access_token), subject: claims.sub })

const refreshed = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh_token, options)
const next = await oauth.processRefreshTokenResponse(server, client, refreshed)
say({ refreshed: await me(next.access_token) })

await oauth.processRevocationResponse(
  await oauth.revocationRequest(server, client, oauth.None(), next.refresh_token, options),
)
say({ revoked: await me(next.access_token) })
